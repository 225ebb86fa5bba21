"""Presets: what is trained with which losses, as data (``presets/NAME.json``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import read_document

FOLDER = Path(__file__).resolve().parent / "presets"


@dataclass(frozen=True)
class Preset:
    """One recipe.

    Attributes:
        name: Of the file and of the results folder.
        description: One sentence for ``-h`` and the documentation.
        distil: Whether a teacher is trained and the student learns from it; otherwise labels only.
        classification: Loss of labels; ``by_dataset``: ordinal for more than two ordered classes, else focal.
        alpha: Share of the logits' KL against labels.
        temperature: T of all KL terms.
        node, node_logit, edge: Weights of the region-graph losses.
        dose_consistency: Weight of the dose teacher's consistency term.
        modality_dropout: Probability that a channel (never the base) is hidden from a sample.
        modality_dropout_warmup: Share of the epochs over which that probability rises from 0.
        cbam: What the student does with the attention module it is handed.
        student_channels: Channels the student sees; empty: the base alone.
        weight_decay_factor: Times the planned weight decay, for the student.
    """

    name: str
    description: str
    distil: bool
    classification: Literal["by_dataset", "focal", "cross_entropy", "ordinal"]
    alpha: float
    temperature: float
    node: float
    node_logit: float
    edge: float
    dose_consistency: float
    modality_dropout: float
    modality_dropout_warmup: float
    cbam: Literal["frozen", "fine_tune"]
    student_channels: tuple[str, ...]
    weight_decay_factor: float
    schema_version: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha {self.alpha}, expected 0…1")
        if not 0 <= self.modality_dropout < 1:
            raise ValueError(f"modality_dropout {self.modality_dropout}, expected 0 ≤ p < 1")
        if self.temperature <= 0:
            raise ValueError(f"temperature {self.temperature}, expected > 0")

    def channels(self, dataset: Dataset) -> tuple[str, ...]:
        """Names of the student's channels, the base first.

        Raises:
            UserError: A channel that the dataset does not have.
        """
        for name in self.student_channels:
            dataset.channel_index(name)
        others = tuple(c.name for c in dataset.channels[1:] if c.name in self.student_channels)
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
