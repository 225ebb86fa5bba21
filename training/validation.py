"""How good a fold's models are on the cases that it kept apart, and all folds together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from reactkd_auto.cases import CaseProperties
from reactkd_auto.dataset import LabelledCase, write_labels
from reactkd_auto.evaluation.run import evaluate
from reactkd_auto.evaluation.sample import CLASSIFIED
from reactkd_auto.jsonio import write_json, write_text
from reactkd_auto.networks import load_weights
from reactkd_auto.tables import csv_text
from reactkd_auto.training import student_stage
from reactkd_auto.training.calibrate import calibrate
from reactkd_auto.training.covariates_baseline import covariates_baseline
from reactkd_auto.training.out_of_fold import out_of_fold
from reactkd_auto.training.readiness_report import tell_readiness
from reactkd_auto.training.run import Run
from reactkd_auto.training.teachers_stage import probabilities

logger = logging.getLogger(__name__)

PREDICTIONS, LABELS = "predictions.csv", "labels.csv"
TEACHERS = {"fused": "teacher", "structure": "structure_teacher", "dose": "dose_teacher"}
"""Teachers' heads and the names of their tables: ``teacher_predictions.csv``, evaluated in ``teacher/``."""


COVARIATES = "covariates"
"""The same for the baseline without images."""


def validate_fold(run: Run, fold: int) -> None:
    """Predict and evaluate a finished fold's held-out cases: ``fold_F/validation``. ``predictions.csv`` comes last."""
    folder, cases = run.model.fold(fold) / "validation", run.held_out_cases(fold)
    if (folder / PREDICTIONS).exists() or not cases:
        return
    write_labels(folder / LABELS, _labelled(cases), run.dataset.classes)
    if run.preset.distil:
        for head, rows in out_of_fold(run, fold).logits.items():
            path = folder / f"{TEACHERS[head]}_predictions.csv"
            _write_predictions(path, probabilities(rows), fold, run.dataset.classes)
            _evaluate(run, path, folder / TEACHERS[head], f"fold {fold}, {TEACHERS[head].replace('_', ' ')}")
    if baseline := covariates_baseline(run, fold):
        path = folder / f"{COVARIATES}_{PREDICTIONS}"
        _write_predictions(path, baseline, fold, run.dataset.classes)
        _evaluate(run, path, folder / COVARIATES, f"fold {fold}, covariates alone")
    student = student_stage.new_student(run)
    load_weights(run.model.student_weights(fold), student)
    answers = student_stage.student_answers(
        student.eval(),
        cases,
        plan=run.plan,
        dataset=run.dataset,
        channels=run.preset.channels(run.dataset),
        folder=run.case_folder,
        device=run.device,
        flips=True,
    )
    temporary = folder / "student_predictions.csv"
    _write_predictions(temporary, answers, fold, run.dataset.classes)
    _evaluate(run, temporary, folder, f"fold {fold}, student")
    temporary.replace(folder / PREDICTIONS)


def cross_validate(run: Run) -> None:
    """Calibrate on the held-out predictions of all finished folds; from two on, pool and judge them.

    ``cross_validation`` holds the pooled tables. Its pages begin with what KD-readiness says by now.
    """
    folds = [f for f in run.model.finished_folds() if (_validation(run, f) / PREDICTIONS).exists()]
    if not folds:
        return
    folder = run.model.path / "cross_validation"
    notes = calibrate(run, [_validation(run, f) / PREDICTIONS for f in folds], folder / PREDICTIONS)
    if len(folds) < 2:
        return
    cases = [c for fold in folds for c in run.held_out_cases(fold)]
    write_labels(folder / LABELS, _labelled(cases), run.dataset.classes)
    write_json(folder / "folds.json", {"finished": folds, "of": run.plan.folds})
    what = f"{len(folds)} of {run.plan.folds} folds"
    notices = [tell_readiness(run).sentence] if run.preset.distil else []
    for name in (*TEACHERS.values(), COVARIATES):
        parts = [_validation(run, f) / f"{name}_{PREDICTIONS}" for f in folds]
        if all(p.exists() for p in parts):
            pooled = folder / f"{name}_{PREDICTIONS}"
            _pool(parts, pooled)
            _evaluate(run, pooled, folder / name, f"{what}, {name.replace('_', ' ')}", notices=notices)
    _evaluate(run, folder / PREDICTIONS, folder, f"{what}, student", notices=[*notices, *notes])


def _validation(run: Run, fold: int) -> Path:
    return run.model.fold(fold) / "validation"


def _evaluate(run: Run, predictions: Path, output: Path, what: str, *, notices: Sequence[str] = ()) -> None:
    labels = output if (output / LABELS).exists() else output.parent
    rows = (labels / LABELS).read_text(encoding="utf-8").splitlines()[1:]
    if all(row.endswith(",") for row in rows):
        logger.info("%s: no held-out case is graded, so there is nothing to evaluate.", what)
        return
    logger.info("%s, held out:", what)
    classes = run.model.path / "dataset.json"
    evaluate(predictions, labels / LABELS, output, dataset_json=classes, seed=run.seed, notices=notices)


def _write_predictions(path: Path, answers: dict[str, list[float]], fold: int, classes: Sequence[str]) -> None:
    rows = []
    for case, row in answers.items():
        best = classes[max(range(len(row)), key=row.__getitem__)]
        rows.append([case, fold, CLASSIFIED, best, *(f"{p:.6f}" for p in row), ""])
    write_text(
        path, csv_text(["case", "fold", "status", "predicted_class", *(f"p_{c}" for c in classes), "reason"], rows)
    )


def _pool(parts: Sequence[Path], path: Path) -> None:
    lines = [part.read_text(encoding="utf-8").splitlines() for part in parts]
    write_text(path, "\n".join([lines[0][0], *(row for rows in lines for row in rows[1:])]) + "\n")


def _labelled(cases: Sequence[CaseProperties]) -> list[LabelledCase]:
    return [LabelledCase(c.case, c.patient, c.label) for c in cases]
