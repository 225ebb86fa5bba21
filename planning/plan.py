"""Puts the rules' decisions together into a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import Fingerprint
from reactkd_auto.plan import Plan, Triple, TripleMm, ZoomedCase
from reactkd_auto.planning.cohort import Cohort
from reactkd_auto.planning.rules import dose as dose_rules
from reactkd_auto.planning.rules import graph as graph_rules
from reactkd_auto.planning.rules import grid as grid_rules
from reactkd_auto.planning.rules import teachers as teacher_rules
from reactkd_auto.planning.rules import training as training_rules
from reactkd_auto.planning.rules.graph import NODE_BUDGET
from reactkd_auto.planning.rules.grid import CHOSEN, SMALLEST_PATCH, Grid, TooMuch
from reactkd_auto.planning.rules.hardware import Hardware, voxel_budget
from reactkd_auto.planning.rules.localiser import localiser
from reactkd_auto.planning.rules.memory import Memory
from reactkd_auto.planning.rules.normalisation import normalisation
from reactkd_auto.planning.rules.topology import network
from reactkd_auto.planning.triples import triple_mm
from reactkd_auto.splits import Splits

LARGEST_BATCH = 256


@dataclass(frozen=True)
class Overrides:
    """What the user decides instead of a rule; None leaves it to the rule. Triples are (z, y, x)."""

    spacing_mm: TripleMm | None = None
    patch_size: Triple | None = None
    batch_size: int | None = None
    gpu_memory_gb: float | None = None
    folds: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that no plan can have.

        Raises:
            UserError: Naming the option.
        """
        if self.spacing_mm and not all(0.05 <= s <= 50 for s in self.spacing_mm):
            raise UserError(f"--spacing {self.spacing_mm}: expected three values (z y x) of 0.05 to 50 mm.")
        if self.patch_size and any(n < SMALLEST_PATCH or n % SMALLEST_PATCH for n in self.patch_size):
            raise UserError(f"--patch_size {self.patch_size}: expected multiples of {SMALLEST_PATCH}.")
        if self.batch_size is not None and not 1 <= self.batch_size <= LARGEST_BATCH:
            raise UserError(f"--batch_size {self.batch_size}: expected 1 to {LARGEST_BATCH}.")
        if self.gpu_memory_gb is not None and not 1 <= self.gpu_memory_gb <= 10_000:
            raise UserError(f"--gpu_memory_gb {self.gpu_memory_gb:g}: expected the GPU's memory in GB, at least 1.")
        if self.folds is not None and self.folds < 2:
            raise UserError(f"--folds {self.folds}: expected at least 2.")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the plan's fields that the user chose."""
        return tuple(name for name, value in vars(self).items() if value is not None)


@dataclass(frozen=True)
class Frame:
    """What a plan is made for: names, seed, device."""

    dataset: str
    name: str
    seed: int
    hardware: Hardware


def wanted_folds(cohort: Cohort, overrides: Overrides) -> tuple[int, str]:
    """Number of folds, needed before the plan for the splits."""
    count, reason = training_rules.folds(cohort, overrides.folds or training_rules.FOLDS)
    return count, reason if overrides.folds is None or count != overrides.folds else f"{CHOSEN}; {reason}"


def make_plan(frame: Frame, fingerprint: Fingerprint, cohort: Cohort, splits: Splits, overrides: Overrides) -> Plan:
    """Every planned value with its reason."""
    hardware = frame.hardware
    batch = training_rules.batch_size(cohort, hardware)
    if overrides.batch_size is not None:
        batch = overrides.batch_size, CHOSEN
    teacher = teacher_rules.structure_function_teacher(cohort)
    encoders = 1 + len(cohort.dataset.privileged) * teacher[0]
    memory = Memory(hardware, batch[0], encoders=encoders, nodes=NODE_BUDGET)
    grid, reasons = grid_rules.plan_grid(
        cohort, hardware, limits(cohort, memory), spacing=overrides.spacing_mm, patch=overrides.patch_size
    )
    spacing, patch = grid.spacing_mm, grid.patch_size
    networks = network(cohort, grid.strides, grid.stem_reason, spacing, hardware.device)
    steps, checkpointing = memory.hold(networks[0], patch)
    augmented = training_rules.augmentation(cohort, spacing, patch)
    decided: dict[str, tuple[Any, str]] = {
        "device": (hardware.device, "planned for this device; results can be used on either"),
        "seed": (frame.seed, "of folds, noise and training"),
        "spacing_mm": (spacing, reasons["spacing_mm"]),
        "patch_size": (patch, reasons["patch_size"]),
        "context_voxels": training_rules.context_voxels(augmented[0], spacing),
        "batch_size": batch,
        "accumulation_steps": steps,
        "checkpointing": checkpointing,
        "normalisation": normalisation(cohort),
        "network": networks,
        "graph": graph_rules.graph(cohort, networks[0], spacing),
        "dose": dose_rules.dose(cohort),
        "structure_function_teacher": teacher,
        "localiser": localiser(cohort, hardware, spacing),
        "augmentation": augmented,
        "class_balance": training_rules.class_balance(cohort),
        "folds": wanted_folds(cohort, overrides),
        "training": training_rules.training(cohort, hardware, batch[0], splits.folds),
        "zoomed_cases": zoomed_cases(fingerprint, spacing, patch),
        "gpu_memory_gb": gpu_memory(hardware, overrides),
    }
    return Plan(
        dataset=frame.dataset,
        name=frame.name,
        splits_hash=splits.hash,
        fingerprint_hash=fingerprint.hash,
        **cast(Mapping[str, Any], {name: value for name, (value, _) in decided.items()}),
        reasons={name: reason for name, (_, reason) in decided.items()},
        chosen_by_user=tuple(f for f in overrides.fields if f in decided and not _corrected(f, decided, overrides)),
    )


def limits(cohort: Cohort, memory: Memory) -> TooMuch:
    """Time first, then memory."""
    hardware = memory.hardware
    budget = voxel_budget(hardware)

    def too_much(grid: Grid) -> str:
        if not budget.affords(grid.patch_size, grid.strides[0]):
            return budget.reason
        if hardware.device == "cpu":
            return ""
        planned, _ = network(cohort, grid.strides, grid.stem_reason, grid.spacing_mm, hardware.device)
        if memory.way(planned, grid.patch_size) is not None:
            return ""
        return (
            f"{hardware.gpu_memory_gb:g} GB of GPU memory are too few for it in {memory.encoders} teacher encoders, "
            "even with one sample at once and activations computed twice"
        )

    return too_much


def gpu_memory(hardware: Hardware, overrides: Overrides) -> tuple[float, str]:
    """Memory that the plan counts on."""
    if overrides.gpu_memory_gb is not None:
        return hardware.gpu_memory_gb, CHOSEN
    return hardware.gpu_memory_gb, "no GPU: planned for a CPU" if hardware.device == "cpu" else "of the GPU found"


def zoomed_cases(fingerprint: Fingerprint, spacing: TripleMm, patch: Triple) -> tuple[tuple[ZoomedCase, ...], str]:
    """Cases whose regions (or image, without regions) are larger than the patch."""
    room = triple_mm(n * s for n, s in zip(patch, spacing, strict=True))
    factors = {c.case: max(e / r for e, r in zip(c.wanted_extent_mm, room, strict=True)) for c in fingerprint.cases}
    zoomed = tuple(ZoomedCase(case, round(factor, 4)) for case, factor in sorted(factors.items()) if factor > 1 + 1e-6)
    if not zoomed:
        return (), "every case fits into the patch"
    return zoomed, f"{len(zoomed)} of {len(factors)} cases are larger than the patch and are resampled coarser to fit"


def _corrected(field: str, decided: Mapping[str, tuple[Any, str]], overrides: Overrides) -> bool:
    return bool(decided[field][0] != getattr(overrides, field))
