"""A folder of pretrained encoders: ``pretrained.json``, written last, beside the weights that it names."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import content_hash, read_document, write_json
from reactkd_auto.networks import Student, Teachers, load_state, load_weights
from reactkd_auto.plan import EncoderPlan, Plan, Triple, TripleMm
from reactkd_auto.training.preset import Preset, read_teacher_recipe

FILE = "pretrained.json"
Role = Literal["teacher", "student"]
ROLES: tuple[Role, ...] = ("teacher", "student")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncoderShape:
    """What two encoders must have in common to exchange weights: encoder, image and sizes; see `plan.NetworkPlan`."""

    base: str
    strides: tuple[Triple, ...]
    teacher: EncoderPlan
    student: EncoderPlan


@dataclass(frozen=True)
class Pretrained:
    """``pretrained.json``.

    Attributes:
        dataset: Folder name of the dataset.
        shape: Of the encoders.
        spacing_mm: That they saw, (z, y, x).
        classes: That they told apart.
        cases: That they learnt from.
        seed, epochs, iterations: Of the training.
        sha256: Of each role's weights.
        provenance: Command, versions, plan; see `provenance.describe_run`.
    """

    dataset: str
    shape: EncoderShape
    spacing_mm: TripleMm
    classes: tuple[str, ...]
    cases: tuple[str, ...]
    seed: int
    epochs: int
    iterations: int
    sha256: dict[str, str]
    provenance: dict[str, Any]
    schema_version: int = 1


@dataclass(frozen=True)
class PretrainedFolder:
    """A folder that ``reactkd_pretrain`` has filled.

    Attributes:
        path: The folder.
        document: Its ``pretrained.json``.
    """

    path: Path
    document: Pretrained

    @property
    def variant(self) -> str:
        """What sets folders of models and teachers apart that begin with such weights."""
        return "pretrained"

    @property
    def settings(self) -> dict[str, Any]:
        """What the result of a training that begins with these weights depends on."""
        return {"pretrained": content_hash(self.document.sha256)}

    def tell_seen(self, dataset: str, fold: int, held_out: Sequence[str]) -> None:
        """Warn of held-out cases that the encoders have seen."""
        seen = set(held_out) & set(self.document.cases) if self.document.dataset == dataset else set()
        if seen:
            logger.warning(
                "fold %d: encoders were pretrained on %d of its %d held-out cases (images and regions, no classes), so "
                "held-out figures may be too good; reactkd_pretrain --ungraded_only leaves them out.",
                *(fold, len(seen), len(held_out)),
            )

    def start(self, network: Teachers | Student) -> None:
        """Give the pretrained weights to a network's encoders.

        An encoder that sees the base image alone takes all of them; one that sees further channels those whose shapes
        fit, which are all but its first convolution's.

        Raises:
            UserError: A file of weights is missing or broken, or holds those of another encoder.
        """
        teachers = isinstance(network, Teachers)
        path = weights_file(self.path, "teacher" if teachers else "student")
        for name, encoder in encoders(network).items():
            taken = give(path, encoder, whole=_sees_base_alone(network, name))
            logger.info(
                "%s %s: encoder begins with %d of %d pretrained weights (%s)%s.",
                *("teachers," if teachers else "student,", name, len(taken), len(encoder.state_dict()), path),
                _without(encoder, taken),
            )


def open_pretrained(folder: Path, plan: Plan, dataset: Dataset, preset: Preset) -> PretrainedFolder:
    """Read a folder and check that its encoders are those of this plan.

    Args:
        folder: That ``reactkd_pretrain`` has filled.
        plan, dataset, preset: Of the training that is to begin with it.

    Raises:
        UserError: Not such a folder, weights other than those that it names, encoders of another shape.
    """
    path = folder / FILE
    document = read_document(Pretrained, path)
    if preset.teachers and (wanted := read_teacher_recipe(preset.teachers).encoder) != "segres":
        raise UserError(f"{path}: holds segres encoders, expected {wanted} ones for teachers of preset {preset.name}.")
    expected = encoder_shape(plan, dataset)
    for name, value in vars(expected).items():
        if (found := getattr(document.shape, name)) != value:
            raise UserError(
                f"{path}: its encoders have {name} {found}, expected {value} as planned here; pretrain by this plan, "
                "or plan both datasets with the same --spacing and --patch_size."
            )
    for role in ROLES:
        if digest(weights_file(folder, role)) != document.sha256.get(role):
            raise UserError(f"{weights_file(folder, role)}: not the weights that {FILE} names, expected those.")
    return PretrainedFolder(folder, document)


def write_pretrained(folder: Path, document: Pretrained) -> None:
    """Write ``pretrained.json``."""
    write_json(folder / FILE, document)


def encoder_shape(plan: Plan, dataset: Dataset) -> EncoderShape:
    """Of a plan's encoders."""
    return EncoderShape(dataset.base.role, plan.network.strides, plan.network.teacher, plan.network.student)


def weights_file(folder: Path, role: Role) -> Path:
    """Weights of one encoder."""
    return folder / f"{role}_encoder.safetensors"


def digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        UserError: No such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: could not be read ({error.strerror}), expected pretrained weights.") from None


def encoders(network: Teachers | Student) -> dict[str, nn.Module]:
    """A network's encoders by the name of their branch."""
    if isinstance(network, Student):
        return {"branch": network.branch.get_submodule("encoder")}
    branches = {"dose": network.dose, **{f"privileged.{name}": b for name, b in network.privileged.items()}}
    return {name: branch.get_submodule("encoder") for name, branch in branches.items()}


def give(path: Path, encoder: nn.Module, *, whole: bool) -> set[str]:
    """Load a file's weights into an encoder, all of them or those that fit; returns the names of those loaded.

    Raises:
        UserError: The file is missing or broken, or not all fit that must.
    """
    if whole:
        load_weights(path, encoder)
        return set(encoder.state_dict())
    own = encoder.state_dict()
    fitting: dict[str, Tensor] = {n: w for n, w in load_state(path).items() if n in own and w.shape == own[n].shape}
    encoder.load_state_dict({**own, **fitting})
    return set(fitting)


def _sees_base_alone(network: Teachers | Student, name: str) -> bool:
    return network.presence is None if isinstance(network, Student) else name == "dose"


def _without(encoder: nn.Module, taken: set[str]) -> str:
    left_out = sorted(set(encoder.state_dict()) - taken)
    return f", without {', '.join(left_out)}, which sees further channels" if left_out else ""
