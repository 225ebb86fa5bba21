"""`plan.json`: what every stage must do, and why.

In Python a plan holds plain values; in the file each value stands beside its reason:
``{"spacing_mm": {"value": [3.3, 2.0, 2.0], "reason": "…", "source": "rule"}, …}``.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import UserError
from .jsonio import content_hash, from_plain, read_json, to_plain, write_json

SCHEMA_VERSION = 2
"""Raised whenever a key comes or goes, so that a plan of another release is told from a spoilt one."""
STAGES = ("dose_degradation", "dual_teacher_training", "region_graph_distillation", "ct_only_inference")
"""The fixed stages, in their order."""

GIGABYTE = 2**30
"""What GB of memory means here, as in the names of GPUs."""

MOST_UNGRADED = 0.5
"""Share of a student's epoch. Many ungraded cases would otherwise leave few graded ones, and little to labels."""

Triple = tuple[int, int, int]
TripleMm = tuple[float, float, float]
RingMode = Literal["none", "merged", "per_lesion"]


@dataclass(frozen=True)
class Normalisation:
    """How stored values of one channel become network input: ``transform(clip(x, lower, upper)) − mean) / std``.

    ``scheme``: ``ct`` (identity), ``pet_suv`` (ln(1 + SUV)), ``mr`` and ``other`` (z-score of the image, made when the
    case is preprocessed), ``binary_mask`` (identity). ``storage_scale``: real value = stored int16 × scale.
    """

    scheme: Literal["ct", "pet_suv", "mr", "other", "binary_mask"]
    lower: float
    upper: float
    mean: float
    std: float
    storage_scale: float


@dataclass(frozen=True)
class EncoderPlan:
    """Channels of the first stage (doubled at each further one) and residual blocks of each stage."""

    width: int
    blocks: tuple[int, ...]


@dataclass(frozen=True)
class NetworkPlan:
    """Topology shared by teachers and student, so that their stages have the same grids.

    Attributes:
        strides: One (z, y, x) stride a stage; the first is the stem's.
        pooled_stages: Indices of the stages whose features are averaged over regions; always the finest.
        embedding_width: Channels after the 1×1×1 projections, the width that the shared CBAM3D works in.
    """

    strides: tuple[Triple, ...]
    teacher: EncoderPlan
    student: EncoderPlan
    embedding_width: int
    pooled_stages: tuple[int, ...]

    def cumulative_stride(self, stage: int) -> Triple:
        """Voxels of the patch in one feature voxel of a stage, (z, y, x)."""
        z = y = x = 1
        for a, b, c in self.strides[: stage + 1]:
            z, y, x = z * a, y * b, x * c
        return z, y, x


@dataclass(frozen=True)
class GraphPlan:
    """Numbers of region nodes (METHOD.md section 2). Slots: organ, parcels, lesions, rings, other lesions, context."""

    enabled: bool
    organ: bool
    parcels: Triple
    lesions: int
    rings: RingMode
    ring_width_mm: float
    other_lesions: bool
    context: tuple[int, ...]
    smallest_lesion_mm3: float
    edge_sigma_mm: float


@dataclass(frozen=True)
class DosePlan:
    """Dose degradation: dose fractions drawn log-uniformly from ``range``; ``levels`` have a stored SD field."""

    enabled: bool
    range: tuple[float, float]
    levels: tuple[float, ...]


@dataclass(frozen=True)
class LocaliserPlan:
    """The coarse segmentation network that finds the regions at prediction."""

    enabled: bool
    spacing_mm: TripleMm
    patch_size: Triple


@dataclass(frozen=True)
class AugmentationPlan:
    """Largest random changes: rotation about z in degrees, scale fraction, shift in mm, axes that may be mirrored."""

    rotation_degrees: float
    scale: float
    shift_mm: float
    mirror_axes: tuple[int, ...]


@dataclass(frozen=True)
class TrainingPlan:
    """Length and optimiser of each training stage; an epoch has equally many iterations in all of them.

    Attributes:
        teacher_epochs: Of teachers, which see graded cases alone; no training is longer.
        student_epochs: Of the student, and of segmentation.
        iterations_per_epoch: Batches of an epoch.
        graded_share: Of the samples that the student sees, those that are graded.
        learning_rate, weight_decay: Of AdamW; the first at its peak.
        ema_decay: Of the averaged weights, an iteration.
    """

    teacher_epochs: int
    student_epochs: int
    iterations_per_epoch: int
    graded_share: float
    learning_rate: float
    weight_decay: float
    ema_decay: float


@dataclass(frozen=True)
class StepCost:
    """What one training step takes, counted on the networks' shapes. Bytes, except ``flops``.

    Attributes:
        peak: Most bytes of tensors at once, the sum of what follows.
        weights: Parameters and buffers; those of the teachers that a student learns from too.
        averages: The weights' exponential moving averages.
        gradients, optimiser: Of the trained weights; AdamW keeps two values for each.
        batch: Images, regions and doses of the samples that are held at once.
        activations: What the forward pass keeps for the backward pass.
        working: What else is alive at the peak: gradients of activations, temporary tensors.
        flops: Of the whole batch, forward and backward: convolutions and matrix products, a multiply-add as two.
    """

    peak: int
    weights: int
    averages: int
    gradients: int
    optimiser: int
    batch: int
    activations: int
    working: int
    flops: int


@dataclass(frozen=True)
class TrainingCost:
    """Cost of a step of each network's training; the localiser's is None where there is none."""

    teachers: StepCost
    student: StepCost
    localiser: StepCost | None

    @property
    def peak(self) -> int:
        """Most bytes that any of them takes."""
        return max(cost.peak for cost in (self.teachers, self.student, self.localiser) if cost is not None)


@dataclass(frozen=True)
class ZoomedCase:
    """A case larger than the patch, resampled coarser by ``factor`` so that it fits."""

    case: str
    factor: float


@dataclass(frozen=True)
class Plan:
    """Every planned value. Triples are (z, y, x).

    Attributes:
        accumulation_steps: Parts that a batch is split into; gradients are summed, so that fewer samples are held at
            once.
        checkpointing: Whether networks keep fewer activations and compute them twice.
        cost: What training by this plan takes: a prediction, not a decision. None: nobody asked for it.
    """

    dataset: str
    name: str
    device: Literal["cuda", "cpu"]
    seed: int
    spacing_mm: TripleMm
    patch_size: Triple
    context_voxels: Triple
    batch_size: int
    normalisation: dict[str, Normalisation]
    network: NetworkPlan
    graph: GraphPlan
    dose: DosePlan
    structure_function_teacher: bool
    localiser: LocaliserPlan
    augmentation: AugmentationPlan
    class_balance: Literal["balanced_sampling", "class_weights", "none"]
    folds: int
    training: TrainingPlan
    zoomed_cases: tuple[ZoomedCase, ...]
    gpu_memory_gb: float
    splits_hash: str
    fingerprint_hash: str
    accumulation_steps: int = 1
    checkpointing: bool = False
    cost: TrainingCost | None = None
    reasons: Mapping[str, str] = dataclasses.field(default_factory=dict)
    chosen_by_user: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if not 1 <= self.accumulation_steps <= self.batch_size:
            raise ValueError(f"accumulation_steps {self.accumulation_steps}, expected 1 to batch_size")

    @property
    def hash(self) -> str:
        """Identity of the plan's decisions (reasons and predictions left out)."""
        return content_hash({k: v for k, v in to_plain(self).items() if k not in _NO_DECISIONS})

    @property
    def held_at_once(self) -> int:
        """Samples of the largest part of a batch."""
        return -(-self.batch_size // self.accumulation_steps)


_BARE = ("dataset", "name", "schema_version", "splits_hash", "fingerprint_hash")
_BESIDE = ("reasons", "chosen_by_user")
_NO_DECISIONS = ("reasons", "cost")


def write_plan(path: Path, plan: Plan) -> None:
    """Write ``plan.json``, each value beside its reason."""
    document: dict[str, Any] = {"stages": list(STAGES), "hash": plan.hash}
    for field in dataclasses.fields(plan):
        value = to_plain(getattr(plan, field.name))
        if field.name in _BARE:
            document[field.name] = value
        elif field.name not in _BESIDE:
            source = "user" if field.name in plan.chosen_by_user else "rule"
            document[field.name] = {
                "value": value,
                "reason": plan.reasons.get(field.name, ""),
                "source": source,
            }
    write_json(path, document)


def read_plan(path: Path) -> Plan:
    """Read ``plan.json``, strictly.

    Raises:
        UserError: Unknown or missing key, wrong type, or made by another release.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        raise UserError(f"{path}: found {type(document).__name__}, expected a plan.")
    if (version := document.get("schema_version")) != SCHEMA_VERSION:
        raise UserError(
            f"{path}: made by another release (schema_version {version}), expected {SCHEMA_VERSION}; plan and train "
            "again, or use the release that made it."
        )
    document = {k: v for k, v in document.items() if k not in ("stages", "hash")}
    hints = typing.get_type_hints(Plan)
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    chosen: list[str] = []
    for field in dataclasses.fields(Plan):
        if field.name in _BESIDE:
            continue
        if field.name not in document:
            raise UserError(f"{path}: key {field.name!r} is missing.")
        entry, where = document.pop(field.name), f"{path}: {field.name}"
        if field.name not in _BARE:
            if not isinstance(entry, dict) or set(entry) != {"value", "reason", "source"}:
                raise UserError(f"{where}: expected an object with value, reason and source.")
            reasons |= {field.name: entry["reason"]} if entry["reason"] else {}
            chosen += [field.name] if entry["source"] == "user" else []
            entry = entry["value"]
        values[field.name] = from_plain(hints[field.name], entry, where=where)
    if document:
        raise UserError(f"{path}: unknown key {sorted(document)[0]!r}.")
    try:
        return Plan(**values, reasons=reasons, chosen_by_user=tuple(chosen))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
