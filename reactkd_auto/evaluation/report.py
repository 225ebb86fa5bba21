"""Writing an evaluation: `metrics.json`, `metrics.csv`, pictures and the self-contained `evaluation.html`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from reactkd_auto.jsonio import atomic_path, write_json, write_text
from reactkd_auto.tables import csv_text

from .bootstrap import REPLICATES
from .estimate import Estimate
from .explanations import MEANINGS
from .metrics import Evaluation
from .page import TEMPLATE

SCORES = {
    "macro_auc": "Macro AUC",
    "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy",
    "f1_macro": "F1, macro",
    "quadratic_kappa": "Quadratic-weighted kappa",
    "brier": "Brier score",
    "calibration_slope": "Calibration slope",
    "expected_calibration_error": "Expected calibration error",
}
PROBABILITY_SCORES = ("brier", "calibration_slope", "expected_calibration_error")
HEADLINE = ("macro_auc", "balanced_accuracy", "brier")
PICTURE_TITLES = {
    "roc": "ROC curves",
    "confusion_matrix": "Confusion matrix",
    "calibration": "Calibration",
    "decisions": "Decision curves",
    "dose": "AUC against dose",
    "channels": "AUC against channels",
    "regions": "AUC by origin of the regions",
}
FEW_PATIENTS = 100


def write_report(
    output: Path,
    evaluation: Evaluation,
    figures: Mapping[str, Mapping[str, bytes]],
    *,
    title: str,
    labels: str,
    compared: str = "",
    notices: Sequence[str] = (),
) -> None:
    """Write every file of an evaluation into a folder, each atomically, the page last.

    Args:
        output: Folder; made where it is missing.
        evaluation: What to write.
        figures: As `figures.draw_figures` gives them.
        title: What was evaluated, for the page.
        labels: Where the labels came from, for the page.
        compared: What it was compared with, for the page.
        notices: Sentences for the top of the page, before its own.
    """
    for name, formats in figures.items():
        for ending, content in formats.items():
            with atomic_path(output / f"{name}.{ending}") as temporary:
                temporary.write_bytes(content)
    for name in set(PICTURE_TITLES) - set(figures):
        for ending in ("svg", "png"):  # a picture of an earlier evaluation would belie this one
            (output / f"{name}.{ending}").unlink(missing_ok=True)
    write_json(output / "metrics.json", evaluation)
    write_text(output / "metrics.csv", metrics_csv(evaluation))
    pictures = {PICTURE_TITLES[name]: formats["svg"] for name, formats in figures.items()}
    page = render_page(evaluation, pictures, title=title, labels=labels, compared=compared, notices=notices)
    write_text(output / "evaluation.html", page)


def metrics_csv(evaluation: Evaluation) -> str:
    """One row a number: metric, class, fold, n, value, low, high, method, reason; empty where undefined."""
    rows = []
    for metric, name, fold, n, x in _numbers(evaluation):
        limits = ["" if v is None else f"{v:.6g}" for v in (x.value, x.low, x.high)]
        rows.append([metric, name, fold, n, *limits, x.method, x.reason])
    return csv_text(["metric", "class", "fold", "n", "value", "low", "high", "method", "reason"], rows)


def _numbers(evaluation: Evaluation) -> Iterator[tuple[str, str, str, int, Estimate]]:
    for metric in SCORES:
        yield metric, "", "", evaluation.n_cases, getattr(evaluation, metric)
    yield from _calibration_numbers(evaluation)
    for c in evaluation.per_class:
        yield "auc", c.name, "", c.n_cases, c.auc
        yield "sensitivity", c.name, "", c.n_cases, c.sensitivity
        yield "specificity", c.name, "", evaluation.n_cases - c.n_cases, c.specificity
    for f in evaluation.per_fold:
        yield "macro_auc", "", f.fold, f.n_cases, f.macro_auc
        yield "balanced_accuracy", "", f.fold, f.n_cases, f.balanced_accuracy
    for d in evaluation.decisions:
        for threshold, value, low, high in zip(d.thresholds, d.net_benefit, d.low, d.high, strict=True):
            estimate = Estimate(value, low, high, "patient bootstrap, pointwise")
            yield f"net_benefit at {threshold:.2f}", d.question, "", evaluation.n_cases, estimate
    for s in evaluation.subgroups:
        yield f"macro_auc where {s.column} {s.group}", "", "", s.n_cases, s.macro_auc
    yield from _sweep_numbers(evaluation)
    for m in evaluation.explanations:
        yield f"explanation {m.name}", "", "", m.n_cases, m.mean
    if evaluation.comparison is not None:
        yield "macro_auc difference", "", "", evaluation.comparison.n_cases, evaluation.comparison.difference


def _sweep_numbers(evaluation: Evaluation) -> Iterator[tuple[str, str, str, int, Estimate]]:
    for sweep in evaluation.sweeps:
        for p in sweep.points:
            yield f"macro_auc with {sweep.kind} {p.name}", "", "", sweep.n_cases, p.macro_auc
            if p.difference is not None:
                yield f"macro_auc difference with {sweep.kind} {p.name}", "", "", sweep.n_cases, p.difference


def _calibration_numbers(evaluation: Evaluation) -> Iterator[tuple[str, str, str, int, Estimate]]:
    if evaluation.uncalibrated is not None:
        for metric in PROBABILITY_SCORES:
            yield f"{metric}, not calibrated", "", "", evaluation.n_cases, getattr(evaluation.uncalibrated, metric)
    if evaluation.prediction_sets is not None:
        yield "set coverage", "", "", evaluation.n_cases, evaluation.prediction_sets.coverage
        for held in evaluation.prediction_sets.per_class:
            yield "set coverage", held.name, "", evaluation.n_cases, held.coverage
        yield "set size", "", "", evaluation.n_cases, Estimate(evaluation.prediction_sets.mean_size)


def render_page(
    evaluation: Evaluation,
    pictures: Mapping[str, bytes],
    *,
    title: str,
    labels: str,
    compared: str = "",
    notices: Sequence[str] = (),
) -> str:
    """The self-contained page; ``pictures`` are SVG files by the words that describe them."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    shown = [(label, getattr(evaluation, name)) for name, label in SCORES.items()]
    return environment.from_string(TEMPLATE).render(
        e=evaluation,
        title=title,
        labels=labels,
        compared=compared,
        notices=[*notices, *_notices(evaluation)],
        headline=[(SCORES[name], getattr(evaluation, name)) for name in HEADLINE],
        scores=shown,
        before=[(SCORES[name], getattr(evaluation, name), name) for name in PROBABILITY_SCORES],
        pictures={name: Markup(_inline(svg)) for name, svg in pictures.items()},
        value=_value,
        number=_number,
        p_value=_p_value,
        sweep_titles=PICTURE_TITLES,
        meanings=MEANINGS,
        limits=_limits,
        replicates=REPLICATES,
    )


def _notices(evaluation: Evaluation) -> list[str]:
    notices = []
    if evaluation.n_cases == 0:
        notices.append("No graded case was classified, so no score is defined.")
    elif evaluation.n_patients < FEW_PATIENTS:
        notices.append(
            f"With {evaluation.n_patients} patients the intervals are wide: read them, not the values alone."
        )
    if evaluation.n_not_classified:
        notices.append(f"{evaluation.n_not_classified} graded cases were not classified and are in no score.")
    if evaluation.n_without_prediction:
        notices.append(f"{evaluation.n_without_prediction} graded cases have no prediction and are in no score.")
    if evaluation.n_ungraded:
        notices.append(f"{evaluation.n_ungraded} predicted cases have no label and are in no score.")
    if evaluation.macro_auc.reason and evaluation.n_cases:
        notices.append(f"Macro AUC: {evaluation.macro_auc.reason}.")
    return notices


def _inline(svg: bytes) -> str:
    """An SVG as part of a page: without the XML prologue and metadata, which name outside addresses."""
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)


def _value(x: Any) -> str:
    return _number(x.value)


def _number(x: float | None, digits: int = 2) -> str:
    return "–" if x is None else f"{x:.{digits}f}"


def _p_value(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _limits(x: Any, digits: int = 2) -> str:
    return "–" if x.low is None or x.high is None else f"{x.low:.{digits}f}–{x.high:.{digits}f}"
