"""From two tables on disk to a folder that shows how good the predictions are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import make_folder

from .explanations import explanation_measures
from .figures import draw_figures
from .metrics import Evaluation, evaluate_predictions
from .report import write_report
from .sample import sample_of
from .sweep import SweepTables, evaluate_sweep
from .tables import read_joined
from .uncalibrated import uncalibrated_sample

_logger = logging.getLogger(__name__)


def evaluate(
    predictions: Path,
    labels: Path,
    output: Path,
    *,
    dataset_json: Path | None = None,
    against: Path | None = None,
    sweeps: Sequence[SweepTables] = (),
    explanations: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    notices: Sequence[str] = (),
    title: str = "",
) -> Evaluation:
    """Compare predictions with labels and write numbers, pictures and a page.

    Args:
        predictions: ``predictions.csv``: ``case``, ``status``, ``predicted_class``, ``p_<class>``; see `tables`.
        labels: ``labels.csv``: ``case``, ``label``, optional ``patient``; other columns define subgroups.
        output: Folder for ``metrics.json``, ``metrics.csv``, ``evaluation.html`` and ``roc``,
            ``confusion_matrix``, ``calibration``, ``decisions`` as SVG and PNG.
        dataset_json: Says the classes and whether they are ordered; without it the ``p_`` columns name the
            classes and they count as unordered.
        against: Another ``predictions.csv`` of the same cases, to be compared with.
        sweeps: Answers to the same cases under other conditions.
        explanations: Checks of explanations, by measure and case; see `explanation_measures`.
        seed: Seed of the bootstrap.
        notices: Sentences for the top of the page, before its own.
        title: What was evaluated, for the page; else the name of ``predictions``.

    Raises:
        UserError: The tables cannot be read or do not fit together, or the folder cannot be written.
    """
    predictions, labels, output = Path(predictions), Path(labels), Path(output)
    joined = read_joined(predictions, labels, dataset_json=dataset_json)
    other = None if against is None else read_joined(Path(against), labels, dataset_json=dataset_json)
    if other is not None and other.classes != joined.classes:
        raise UserError(
            f"{against}: probabilities of {', '.join(other.classes)}, expected {', '.join(joined.classes)} "
            f"as in {predictions}."
        )
    evaluation = evaluate_predictions(
        joined.table,
        joined.classes,
        ordered=joined.classes_ordered,
        seed=seed,
        n_without_prediction=joined.n_without_prediction,
        covariates=joined.covariates,
        against=None if other is None else other.table,
        sweeps=[evaluate_sweep(s, labels, joined.classes, dataset_json=dataset_json, seed=seed) for s in sweeps],
        explanations=explanation_measures(
            explanations or {}, dict(zip(joined.table["case"], joined.table["patient"], strict=True)), seed=seed
        ),
    )
    make_folder(output)
    sample = sample_of(joined.table, joined.classes)
    figures = draw_figures(evaluation, sample, uncalibrated=uncalibrated_sample(joined.table, sample))
    compared = "" if against is None else Path(against).name
    write_report(
        output,
        evaluation,
        figures,
        title=title or predictions.name,
        labels=labels.name,
        compared=compared,
        notices=notices,
    )
    _logger.info(
        "%d cases of %d patients: macro AUC %s, balanced accuracy %s; %d not classified. See %s",
        evaluation.n_cases,
        evaluation.n_patients,
        evaluation.macro_auc,
        evaluation.balanced_accuracy,
        evaluation.n_not_classified,
        output / "evaluation.html",
    )
    return evaluation
