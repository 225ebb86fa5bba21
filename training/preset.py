"""Presets: what is trained with which losses, as data (``presets/NAME.json``, ``presets/teachers/NAME.json``)."""

from __future__ import annotations

import functools
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import read_document

FOLDER = Path(__file__).resolve().parent / "presets"

ClassificationName = Literal["focal", "cross_entropy", "ordinal"]
ClassificationChoice = Literal["by_dataset", "focal", "cross_entropy", "ordinal"]
"""``by_dataset``: ordinal for more than two ordered classes, else focal."""
LossName = Literal[
    "kl", "mse", "dkd", "dist", "logit_std", "node", "node_logit", "edge", "gw", "fgw", "fitnet", "at", "cirkd"
]
"""Losses of distillation; formula and paper of each in ``losses/``."""
TeacherMode = Literal["in_sample", "cross_fitted"]
"""Whether a student learns from teachers that saw its training cases, or from such that did not."""
TeacherName = Literal["fused", "structure", "dose"]
WeightingName = Literal[TeacherName, "mean", "ca_mkd", "entropy_presence", "performance"]
"""Whose logits a student learns: those of one teacher, or a mixture of all; see ``teacher_weights.py``."""


@dataclass(frozen=True)
class TeacherRecipe:
    """How teachers are trained. Presets that name the same recipe share them.

    Attributes:
        name: Of the file, and of the folder ``teachers/NAME_seed0``.
        encoder: Of every branch, a name in `networks.encoder.ENCODERS`.
        classification: Loss of labels.
        dose_consistency: Weight of the dose teacher's consistency term.
        modality_dropout: Probability that a channel (never the base) is hidden from a sample.
        modality_dropout_warmup: Share of the epochs over which that probability rises from 0.
    """

    name: str
    encoder: Literal["segres", "swin"]
    classification: ClassificationChoice
    dose_consistency: float
    modality_dropout: float
    modality_dropout_warmup: float
    schema_version: int = 1

    def __post_init__(self) -> None:
        _check_dropout(self.modality_dropout)


@dataclass(frozen=True)
class Preset:
    """One recipe.

    Attributes:
        name: Of the file and of the results folder.
        description: One sentence for ``-h`` and the documentation.
        source: Paper that it follows.
        teachers: Recipe of the teachers that the student learns from; None: labels only.
        teacher_mode: Whether these saw the student's training cases.
        weighting: How the teachers' logits are put together.
        classification: Loss of labels.
        label_weight: Of that loss.
        temperature: T of softened class probabilities.
        losses: Weight of each loss of distillation.
        modality_dropout: Probability that a channel (never the base) is hidden from a student that sees several.
        modality_dropout_warmup: Share of the epochs over which that probability rises from 0.
        cbam: What the student does with the attention module it is handed; ``own``: it is handed none.
        student_channels: Channels the student sees wherever a case has them, the base among them or not; empty: the
            base alone.
        weight_decay_factor: Times the planned weight decay, for the student.
        student_covariates: Whether the student sees the dataset's clinical covariates, as teachers always do.
        student_dose: ``drawn`` for each sample in the planned range, or always ``full``.
    """

    name: str
    description: str
    source: str
    teachers: str | None
    teacher_mode: TeacherMode
    weighting: WeightingName
    classification: ClassificationChoice
    label_weight: float
    temperature: float
    losses: dict[str, float]
    modality_dropout: float
    modality_dropout_warmup: float
    cbam: Literal["frozen", "fine_tune", "own"]
    student_channels: tuple[str, ...]
    weight_decay_factor: float
    student_covariates: bool = False
    student_dose: Literal["drawn", "full"] = "drawn"
    schema_version: int = 1

    def __post_init__(self) -> None:
        _check_dropout(self.modality_dropout)
        if self.temperature <= 0:
            raise ValueError(f"temperature {self.temperature}, expected > 0")
        known = typing.get_args(LossName)
        if unknown := sorted(set(self.losses) - set(known)):
            raise ValueError(f"losses: {unknown[0]!r} is unknown, expected out of {', '.join(known)}")
        for name, weight in {"label_weight": self.label_weight, **self.losses}.items():
            if weight < 0:
                raise ValueError(f"{name} {weight}, expected 0 or more")
        if self.distil != bool(self.losses):
            raise ValueError(f"teachers {self.teachers} with {len(self.losses)} losses, expected both or neither")

    @property
    def distil(self) -> bool:
        """Whether teachers are trained and the student learns from them; otherwise labels only."""
        return self.teachers is not None

    @property
    def structure_alone(self) -> bool:
        """Whether the only teacher is the structure-function one, which says nothing of a case with a CT alone."""
        return self.weighting == "structure"

    def channels(self, dataset: Dataset) -> tuple[str, ...]:
        """Names of the student's channels, the base first.

        Raises:
            UserError: A channel that the dataset does not have, or one twice.
        """
        given, known = self.student_channels, [c.name for c in dataset.channels]
        for number, name in enumerate(given):
            if name not in known or name in given[:number]:
                what = "named twice" if name in known else "unknown"
                raise UserError(
                    f"--student_channels {','.join(given)}: {name!r} is {what}, expected some of {', '.join(known)}, "
                    "each once."
                )
        others = tuple(c.name for c in dataset.channels[1:] if c.name in given)
        return (dataset.base.name, *others)


def preset_names() -> list[str]:
    """All presets, sorted."""
    return sorted(p.stem for p in FOLDER.glob("*.json"))


def read_preset(name: str) -> Preset:
    """Read a preset by name.

    Raises:
        UserError: No such preset.
    """
    if name not in preset_names():
        raise UserError(f"--preset {name}: unknown, expected one of {', '.join(preset_names())}.")
    return read_document(Preset, FOLDER / f"{name}.json")


@functools.cache
def read_teacher_recipe(name: str) -> TeacherRecipe:
    """Read a recipe of teachers by the name that a preset gives.

    Raises:
        UserError: No such recipe.
    """
    return read_document(TeacherRecipe, FOLDER / "teachers" / f"{name}.json")


def _check_dropout(probability: float) -> None:
    if not 0 <= probability < 1:
        raise ValueError(f"modality_dropout {probability}, expected 0 ≤ p < 1")
