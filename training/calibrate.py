"""``calibration.json`` from the held-out answers of all finished folds, and what it would have done out of fold."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reactkd_auto.calibration import HeldOut, fit_calibration, write_calibration
from reactkd_auto.calibration.columns import calibration_columns, set_text
from reactkd_auto.calibration.crossed import Crossed, cross_calibrate
from reactkd_auto.evaluation.estimate import Estimate, wilson
from reactkd_auto.evaluation.tables import PROBABILITY_PREFIX
from reactkd_auto.jsonio import write_json, write_text
from reactkd_auto.tables import csv_text
from reactkd_auto.training.run import Run

logger = logging.getLogger(__name__)

THRESHOLDS = "thresholds.json"


@dataclass(frozen=True)
class ThresholdResult:
    """One class called at thresholds that other folds chose.

    Attributes:
        name: The class.
        threshold: Chosen on all folds; prediction's.
        by_fold: Threshold that each fold was judged with, chosen without it.
        sensitivity, specificity: Over all folds, each at its own threshold.
    """

    name: str
    threshold: float | None
    by_fold: dict[int, float | None]
    sensitivity: Estimate
    specificity: Estimate


def calibrate(run: Run, tables: Sequence[Path], pooled: Path) -> tuple[str, ...]:
    """Write ``calibration.json``; with two folds or more also the pooled table and ``thresholds.json`` beside it.

    Args:
        run: For labels, patients and the model folder.
        tables: ``predictions.csv`` of each finished fold.
        pooled: Where the table of all folds goes; its probabilities are calibrated without the fold they come from.

    Returns:
        Sentences about the calibration.
    """
    rows = [row for table in tables for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())]
    classes = run.dataset.classes
    held_out = _held_out(run, rows)
    calibration = fit_calibration(held_out, classes, seed=run.seed)
    logger.info("calibration: temperature %.2f from %d graded cases.", calibration.temperature, calibration.cases)
    for note in calibration.notes:
        logger.info("%s", note)
    if len(tables) > 1:
        crossed = cross_calibrate(held_out, classes, seed=run.seed)
        write_json(pooled.parent / THRESHOLDS, _thresholds(held_out, crossed, calibration.thresholds, classes))
        write_text(pooled, _table(rows, held_out, crossed, classes, calibration.coverage))
    write_calibration(run.model.path, calibration)
    return calibration.notes


def _held_out(run: Run, rows: Sequence[dict[str, str]]) -> HeldOut:
    cases = [run.cases[row["case"]] for row in rows]
    probabilities = [[float(row[f"{PROBABILITY_PREFIX}{c}"]) for c in run.dataset.classes] for row in rows]
    return HeldOut(
        patients=np.array([c.patient for c in cases], dtype=object),
        folds=np.array([int(row["fold"]) for row in rows], dtype=np.int64),
        labels=np.array([-1 if c.label is None else c.label for c in cases], dtype=np.int64),
        probabilities=np.array(probabilities, dtype=np.float64).reshape(len(rows), len(run.dataset.classes)),
    )


def _thresholds(
    held_out: HeldOut, crossed: Crossed, chosen: Sequence[float | None], classes: Sequence[str]
) -> list[ThresholdResult]:
    graded = held_out.labels >= 0
    results = []
    for k, name in enumerate(classes):
        positive, negative = graded & (held_out.labels == k), graded & (held_out.labels != k)
        called = crossed.called[:, k]
        results.append(
            ThresholdResult(
                name=name,
                threshold=chosen[k],
                by_fold={fold: c.thresholds[k] for fold, c in crossed.by_fold.items()},
                sensitivity=wilson(int(called[positive].sum()), int(positive.sum())),
                specificity=wilson(int((~called[negative]).sum()), int(negative.sum())),
            )
        )
    return results


def _table(
    rows: Sequence[dict[str, str]], held_out: HeldOut, crossed: Crossed, classes: Sequence[str], coverage: float
) -> str:
    """The folds' rows, calibrated probabilities in the place of theirs, and theirs in further columns."""
    names = [f"{PROBABILITY_PREFIX}{c}" for c in classes]
    columns = [*rows[0], *calibration_columns(classes)] if rows else []
    lines = []
    for i, row in enumerate(rows):
        calibrated = dict(zip(names, (f"{p:.6f}" for p in crossed.probabilities[i]), strict=True))
        inside = [c for c, kept in zip(classes, crossed.sets[i], strict=True) if kept]
        lines.append([*(row | calibrated).values(), *(row[n] for n in names), set_text(inside), f"{coverage:g}"])
    return csv_text(columns, lines)
