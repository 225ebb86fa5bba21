"""The comparison as Markdown, as a picture and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reactkd_auto.drawing.style import FAINT, STYLE, class_colour, svg_bytes
from reactkd_auto.evaluation.estimate import Estimate
from reactkd_auto.evaluation.seeds import RecipeScore, SeedComparison
from reactkd_auto.pages import embedded, render

TEMPLATE = Path(__file__).parent / "templates" / "ablation.html"
COLUMNS = ("recipe", "macro AUC", "SD of seeds", "difference", "SD of seeds", "p")


def cells(recipe: RecipeScore) -> tuple[str, ...]:
    """One row of the table, below `COLUMNS`."""
    is_reference = recipe.difference is None and recipe.auc.value is not None
    difference = "reference" if is_reference else _signed(recipe.difference)
    p = "" if recipe.p_value is None else "< 0.001" if recipe.p_value < 0.001 else f"{recipe.p_value:.3f}"
    return (recipe.name, str(recipe.auc), _sd(recipe.seed_sd), difference, _sd(recipe.difference_sd), p)


def caption(comparison: SeedComparison, *, judged_on: str, folds: Sequence[int]) -> str:
    """What the numbers are of, in one sentence each."""
    seeds, n = ", ".join(map(str, comparison.seeds)), comparison.n_cases
    left_out = f"; {comparison.n_left_out} cases not classified by all are left out" if comparison.n_left_out else ""
    return (
        f"Macro AUC on {n} {judged_on} of {comparison.n_patients} patients{left_out}; folds "
        f"{', '.join(map(str, folds))}; mean of seeds {seeds}. Intervals (95 %) are over patients, the seeds as they "
        f"are; differences are to {comparison.reference}, on the same drawn patients and seeds."
    )


def markdown(comparison: SeedComparison, words: str, missing: Sequence[str]) -> str:
    """The table for a document."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(cells(recipe))} |" for recipe in comparison.recipes]
    unfinished = f"\nNot finished and in no number: {', '.join(missing)}.\n" if missing else ""
    return "\n".join(["# Ablation", "", words, "", *lines, unfinished])


def page(comparison: SeedComparison, words: str, missing: Sequence[str], run: dict[str, Any]) -> str:
    """The table with its picture, self-contained."""
    with mpl.rc_context(STYLE):
        picture = embedded(svg_bytes(draw(comparison)), ".svg")
    rows = [cells(recipe) for recipe in comparison.recipes]
    return render(TEMPLATE, columns=COLUMNS, rows=rows, words=words, missing=missing, picture=picture, run=run)


def draw(comparison: SeedComparison) -> Figure:
    """AUCs with their intervals, each seed as a dot, and the differences beside them."""
    recipes = [r for r in comparison.recipes if r.auc.value is not None]
    figure = Figure(figsize=(9.0, 1.3 + 0.42 * len(recipes)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    for y, recipe in enumerate(reversed(recipes)):
        _interval(left, recipe.auc, y)
        left.plot(recipe.per_seed, [y - 0.22] * len(recipe.per_seed), ".", color=FAINT, markersize=5)
        if recipe.difference is not None:
            _interval(right, recipe.difference, y)
    right.axvline(0, color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    left.set_yticks(range(len(recipes)), [r.name for r in reversed(recipes)])
    left.set(xlabel="macro AUC, 95 % interval; small dots: seeds", ylim=(-0.6, len(recipes) - 0.4))
    right.set(xlabel=f"difference to {comparison.reference}, 95 % interval")
    for axes in (left, right):
        axes.grid(axis="x", color="#EEEEEE")
        axes.set_axisbelow(True)
    return figure


def _interval(axes: Any, estimate: Estimate, y: float) -> None:
    axes.plot([estimate.low, estimate.high], [y, y], color=class_colour(1), linewidth=2, solid_capstyle="butt")
    axes.plot([estimate.value], [y], "o", color=class_colour(1), markersize=7)


def _sd(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"
