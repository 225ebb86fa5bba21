"""``pretrained.json``: what a folder of pretrained encoders holds; written last, beside the weights that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import file_hash
from reactkd_auto.plan import EncoderPlan, Plan, Triple, TripleMm

FILE = "pretrained.json"
Role = Literal["teacher", "student"]
ROLES: tuple[Role, ...] = ("teacher", "student")


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
        return file_hash(path)
    except OSError as error:
        raise UserError(f"{path}: could not be read ({error.strerror}), expected pretrained weights.") from None
