"""`calibration.json` of a model folder: made of out-of-fold answers, applied by prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.jsonio import read_document, write_json

from .conformal import FEWEST_PER_CLASS, fewest_patients, is_per_class, nonconformity, one_a_patient, prediction_sets
from .temperature import fit_temperature, scaled
from .thresholds import best_threshold

FILE = "calibration.json"
COVERAGE = 0.9
SCHEMA_VERSION = 1
SHRUNK = 0.05
"""Shrinkage of the temperature by more than this share is told."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Answers to cases that the answering fold never saw.

    Attributes:
        patients: (n,) names.
        folds: (n,) fold that answered.
        labels: (n,) class index, −1 where ungraded.
        probabilities: (n, K) averaged over flips, not calibrated.
    """

    patients: NDArray[Any]
    folds: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def rows(self, keep: NDArray[Any]) -> HeldOut:
        """Some of the cases."""
        return HeldOut(self.patients[keep], self.folds[keep], self.labels[keep], self.probabilities[keep])


@dataclass(frozen=True)
class Calibration:
    """How a model's averaged probabilities are to be read.

    Attributes:
        classes: Names, in the order of everything below.
        folds: Whose held-out cases it was made of.
        cases, patients: Graded ones among them.
        temperature: T of softmax(ln p / T).
        unshrunk_temperature: By maximum likelihood alone; None where that has no answer.
        coverage: Promised share of sets that hold the true class.
        per_class: Whether it is promised for each class by itself, or over all cases.
        scores: Of each class, 1 − p of the true class (not calibrated), of one case a patient; sorted.
        thresholds: Calibrated probability from which each class is called with the largest sensitivity +
            specificity; None where the cases do not say.
        seed: Of the draw of one case a patient.
        notes: What to know about it.
    """

    classes: tuple[str, ...]
    folds: tuple[int, ...]
    cases: int
    patients: int
    temperature: float
    unshrunk_temperature: float | None
    coverage: float
    per_class: bool
    scores: tuple[tuple[float, ...], ...]
    thresholds: tuple[float | None, ...]
    seed: int
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version}, this release reads {SCHEMA_VERSION}")
        if not self.temperature > 0 or not 0 < self.coverage < 1:
            raise ValueError(f"temperature {self.temperature} and coverage {self.coverage}, expected above 0 and 0…1")
        if not len(self.scores) == len(self.thresholds) == len(self.classes):
            raise ValueError(f"expected scores and thresholds of {len(self.classes)} classes")

    def probabilities(self, averaged: NDArray[Any]) -> NDArray[np.float64]:
        """Calibrated probabilities (..., K) of averaged ones."""
        return scaled(averaged, self.temperature)

    def sets(self, averaged: NDArray[Any]) -> NDArray[np.bool_]:
        """Prediction sets (n, K) of averaged probabilities (n, K)."""
        return prediction_sets(averaged, self.scores, coverage=self.coverage, per_class=self.per_class)

    def set_of(self, averaged: NDArray[Any]) -> tuple[str, ...]:
        """Names of the classes in one case's set (K,)."""
        kept = self.sets(averaged[None])[0]
        return tuple(c for c, inside in zip(self.classes, kept, strict=True) if inside)


def fit_calibration(held_out: HeldOut, classes: Sequence[str], *, seed: int, coverage: float = COVERAGE) -> Calibration:
    """Calibrate on the graded cases among held-out answers; none at all leaves probabilities as they are.

    Args:
        held_out: Of every finished fold.
        classes: Their names.
        seed: Of the draw of one case a patient for prediction sets.
        coverage: To be promised.
    """
    graded = held_out.rows(held_out.labels >= 0)
    temperature = fit_temperature(graded.labels, graded.probabilities)
    single = graded.rows(one_a_patient(graded.patients.tolist(), seed))
    scores = nonconformity(single.labels, single.probabilities)
    calibrated = scaled(graded.probabilities, temperature.value)
    result = Calibration(
        classes=tuple(classes),
        folds=tuple(sorted(set(held_out.folds.tolist()))),
        cases=len(graded.labels),
        patients=len(single.labels),
        temperature=temperature.value,
        unshrunk_temperature=temperature.unshrunk,
        coverage=coverage,
        per_class=is_per_class(scores),
        scores=scores,
        thresholds=tuple(best_threshold(graded.labels == k, calibrated[:, k]) for k in range(len(classes))),
        seed=seed,
    )
    return Calibration(**{**vars(result), "notes": tuple(_notes(result))})


def _notes(c: Calibration) -> list[str]:
    notes = []
    alone = c.unshrunk_temperature
    if alone is None:
        notes.append(f"Temperature {c.temperature:.2f} rests on a prior round 1: the {c.cases} cases alone fit none.")
    elif abs(c.temperature / alone - 1) > SHRUNK:
        notes.append(f"Temperature {c.temperature:.2f} is pulled towards 1: the {c.cases} cases alone say {alone:.2f}.")
    counts = [len(s) for s in c.scores]
    fewest = fewest_patients(c.coverage)
    if sum(counts) < fewest:
        notes.append(
            f"Prediction sets hold every class: {sum(counts)} graded patients cannot support {c.coverage:.0%} "
            f"coverage, which takes {fewest}."
        )
    elif not c.per_class:
        few = c.classes[int(np.argmin(counts))]
        notes.append(
            f"Coverage {c.coverage:.0%} holds over all cases, not for each class: {few} has {min(counts)} patients, "
            f"expected {FEWEST_PER_CLASS}."
        )
    if len(c.folds) == 1:
        notes.append(f"It rests on the held-out cases of fold {c.folds[0]} alone; finish more folds to make it firmer.")
    return notes


def read_calibration(folder: Path) -> Calibration | None:
    """``calibration.json`` of a model folder; None where it has none.

    Raises:
        UserError: It is damaged or of another release.
    """
    path = Path(folder) / FILE
    return read_document(Calibration, path) if path.exists() else None


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write ``calibration.json``."""
    write_json(Path(folder) / FILE, calibration)
