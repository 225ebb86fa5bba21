"""Pictures of an evaluation: ROC and decision curves, confusion matrix, calibration. Drawn without a screen."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reactkd_auto.drawing.style import STYLE, class_colour, svg_bytes

from .bootstrap import PatientBootstrap
from .calibration import reliability_bins
from .metrics import Evaluation
from .roc import BAND_GRID, roc_band, roc_curve
from .sample import Sample
from .sweep_figures import draw_sweep


def draw_figures(
    evaluation: Evaluation, sample: Sample, *, uncalibrated: Sample | None = None
) -> dict[str, dict[str, bytes]]:
    """All pictures that the cases allow, as ``{name: {"svg": …, "png": …}}``; same input, same bytes.

    Names: ``roc``, ``confusion_matrix``, ``calibration``, ``decisions``; of sweeps ``dose``, ``channels``, ``regions``.
    None where no case was classified.
    """
    if sample.n_cases == 0:
        return {}
    painters: dict[str, Callable[[Evaluation, Sample], Figure]] = {
        "roc": draw_roc,
        "confusion_matrix": draw_confusion,
        "calibration": partial(draw_calibration, before=uncalibrated),
    }
    if evaluation.decisions:
        painters["decisions"] = draw_decisions
    with mpl.rc_context(STYLE):
        drawn = {name: _render(paint(evaluation, sample)) for name, paint in painters.items()}
        return drawn | {sweep.kind: _render(draw_sweep(sweep)) for sweep in evaluation.sweeps}


def draw_roc(evaluation: Evaluation, sample: Sample) -> Figure:
    """ROC curves with AUC and interval in the legend; two classes: one curve with a pointwise 95 % band."""
    figure, axes = _new_figure(4.8, 5.6)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    two = len(sample.classes) == 2
    for k in _drawn_classes(sample):
        result = evaluation.per_class[k]
        if result.auc.value is None:
            continue
        colour = class_colour(k)
        positive, probability = sample.labels == k, sample.probabilities[:, k]
        if two:
            bootstrap = PatientBootstrap(sample.labels, sample.patients, 500, evaluation.seed)
            low, high = roc_band(positive, probability, bootstrap)
            axes.fill_between(BAND_GRID, low, high, color=colour, alpha=0.15, linewidth=0, label="95 % band")
        rate_false, rate_true = roc_curve(positive, probability)
        label = f"{_short(result.name)} (n = {result.n_cases}): {result.auc}"
        axes.plot(rate_false, rate_true, color=colour, linewidth=2, label=label, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", title=f"ROC, {_count(evaluation)}")
    axes.grid(color="#EEEEEE")
    _legend_below(axes, title="class: AUC (95 % interval)", lift=-0.13)
    return figure


def draw_confusion(evaluation: Evaluation, sample: Sample) -> Figure:
    """Confusion matrix: cases and the share of each true class, which is also the colour."""
    counts = np.asarray(evaluation.confusion)
    n_classes = len(sample.classes)
    side = float(np.clip(1.6 + 0.85 * n_classes, 3.6, 9.0))
    figure, axes = _new_figure(side + 0.6, side)
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    edges = np.arange(n_classes + 1) - 0.5
    axes.pcolormesh(edges, edges, share, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1.5)
    axes.set(aspect="equal", ylim=(n_classes - 0.5, -0.5))  # first class on top
    for i, j in np.ndindex(*counts.shape):
        colour = "white" if share[i, j] > 0.55 else "#222222"
        axes.text(j, i - 0.08, str(counts[i, j]), ha="center", va="center", color=colour, fontsize=13)
        if totals[i, 0]:
            axes.text(j, i + 0.22, f"{share[i, j]:.0%}", ha="center", va="center", color=colour, fontsize=8.5)
    names = [_short(c) for c in sample.classes]
    rotation = 30 if max(map(len, names)) > 9 else 0
    axes.set_xticks(range(n_classes), names, rotation=rotation, ha="right" if rotation else "center")
    axes.set_yticks(range(n_classes), names)
    axes.set(xlabel="predicted class", ylabel="true class", title=f"Confusion, {_count(evaluation)}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def draw_calibration(evaluation: Evaluation, sample: Sample, *, before: Sample | None = None) -> Figure:
    """Observed share against predicted probability in bins of equal cases, with Wilson's 95 % intervals.

    Where ``before`` is given, its bins are drawn too: the probabilities as they were before calibration.
    """
    figure = Figure(figsize=(4.8, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [5, 1]})
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    drawn = _drawn_classes(sample)
    for position, k in enumerate(drawn):
        shift = 0.008 * (position - (len(drawn) - 1) / 2)  # intervals of several classes beside each other
        at_most = 10 if len(drawn) == 1 else 5
        if before is not None:
            _draw_uncalibrated(axes, before, k, at_most=at_most)
        _draw_reliability(axes, sample, k, shift=shift, at_most=at_most)
        style = "stepfilled" if len(drawn) == 1 else "step"
        below.hist(sample.probabilities[:, k], bins=np.linspace(0, 1, 21), color=class_colour(k), histtype=style)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="observed share", title=f"Calibration, {_count(evaluation)}")
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
    below.set(xlabel="predicted probability of the class", ylabel="cases")
    handles, labels = axes.get_legend_handles_labels()
    _legend_below(below, title=_calibration_title(evaluation), lift=-0.75, handles=(handles, labels))
    return figure


def _draw_reliability(axes: Any, sample: Sample, k: int, *, shift: float, at_most: int) -> None:
    bins = reliability_bins(sample.labels == k, sample.probabilities[:, k], at_most=at_most)
    x = np.array([b.probability + shift for b in bins])
    y, low, high = np.array([(b.observed.value, b.observed.low, b.observed.high) for b in bins], dtype=float).T
    axes.vlines(x, low, high, color=class_colour(k), linewidth=1, alpha=0.5)
    axes.plot(
        x, y, "o-", color=class_colour(k), linewidth=1.6, markersize=5, label=_short(sample.classes[k]), clip_on=False
    )


def _draw_uncalibrated(axes: Any, sample: Sample, k: int, *, at_most: int) -> None:
    """One class before calibration, pale and without intervals."""
    bins = reliability_bins(sample.labels == k, sample.probabilities[:, k], at_most=at_most)
    x, y = [b.probability for b in bins], [b.observed.value for b in bins]
    label = f"{_short(sample.classes[k])}, not calibrated"
    axes.plot(x, y, "o:", color=class_colour(k), alpha=0.45, linewidth=1.2, markersize=4, label=label, clip_on=False)


def draw_decisions(evaluation: Evaluation, sample: Sample) -> Figure:
    """Net benefit of acting on the model, always and never, one panel a question, with pointwise 95 % bands."""
    curves = evaluation.decisions
    figure = Figure(figsize=(4.8, 1.0 + 3.2 * len(curves)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, curve in zip(figure.subplots(len(curves), 1, squeeze=False)[:, 0], curves, strict=True):
        axes.plot(curve.thresholds, curve.treat_all, color="#999999", linewidth=1.2, label="always act")
        axes.axhline(0, color="#333333", linewidth=1.2, label="never act")
        axes.fill_between(curve.thresholds, curve.low, curve.high, color=class_colour(1), alpha=0.15, linewidth=0)
        axes.plot(curve.thresholds, curve.net_benefit, color=class_colour(1), linewidth=2, label="act on the model")
        prevalence = curve.n_positive / sample.n_cases
        axes.set(xlim=(0, 1), ylim=(-0.35 * prevalence, 1.1 * max(prevalence, *curve.high)))
        axes.set(ylabel="net benefit per case", title=f"{_short(curve.question)}: yes or no?")
        axes.grid(color="#EEEEEE")
    axes.set_xlabel("threshold probability at which one would act")
    _legend_below(axes, title=f"{_count(evaluation)}, 95 % band", lift=-0.16)
    return figure


def _calibration_title(evaluation: Evaluation) -> str:
    slope, error = evaluation.calibration_slope, evaluation.expected_calibration_error
    text = f"slope {slope}, expected calibration error {error}"
    before = evaluation.uncalibrated
    if before is None:
        return text
    return f"{text}\nnot calibrated: {before.calibration_slope}, {before.expected_calibration_error}"


def _drawn_classes(sample: Sample) -> list[int]:
    """Two classes mirror each other: the second one is enough."""
    return [1] if len(sample.classes) == 2 else list(range(len(sample.classes)))


def _count(evaluation: Evaluation) -> str:
    cases = f"{evaluation.n_cases} cases"
    return cases if evaluation.n_patients == evaluation.n_cases else f"{cases}, {evaluation.n_patients} patients"


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"


def _legend_below(axes: Any, *, title: str, lift: float, handles: tuple[list[Any], list[str]] | None = None) -> None:
    axes.legend(
        *(handles or axes.get_legend_handles_labels()),
        loc="upper center",
        bbox_to_anchor=(0.5, lift),
        title=title,
        title_fontsize=9,
        alignment="left",
        handlelength=1.6,
    )


def _new_figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _render(figure: Figure) -> dict[str, bytes]:
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight", dpi=160)
    return {"svg": svg_bytes(figure), "png": png.getvalue()}
