"""Figures of the cohort: counts, grids, lesions. Every bar is divided by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.drawing.style import FAINT, INK
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.plan import Plan
from reactkd_auto.planning.cohort import outlier_limit
from reactkd_auto.planning.report.groups import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 15
WIDTH = 11.6
_ROW = 2.15
_TOP, _BOTTOM, _RIGHT = 0.3, 0.4, 0.15
_PLANNED: dict[str, Any] = {"color": INK, "linewidth": 1.4, "linestyle": (0, (4, 2))}
_LIMIT: dict[str, Any] = {"color": "#a4262c", "linewidth": 1.2, "linestyle": (0, (1, 2))}
Values = Callable[[CaseFingerprint], Sequence[float]]


def draw_counts(groups: Sequence[Group], dataset: Dataset) -> Figure:
    """Cases of each class, and how many cases have each channel and a region map."""
    available = [(c.name, [_having(g, i) for g in groups]) for i, c in enumerate(dataset.channels)]
    if dataset.regions:
        marked = [sum(c.region_extent_mm is not None for c in g.cases) for g in groups]
        available.append(("regions", marked))
    rows = max(len(groups), len(available))
    figure, (left, right) = new_figure(2, height=_TOP + _BOTTOM + 0.33 * rows, left=1.9)
    total = sum(len(g.cases) for g in groups)
    for y, group in enumerate(groups):
        left.barh(y, len(group.cases), color=group.colour)
        left.text(len(group.cases), y, f" {_cases(group)}", va="center", fontsize=9)
    left.set_yticks(range(len(groups)), [shortened(g.name) for g in groups])
    left.set_xlim(0, 1.35 * max(len(g.cases) for g in groups))
    left.set_title("classes")
    for y, (_, counts) in enumerate(available):
        _stacked_bar(right, y, counts, groups)
        right.text(total, y, f" {sum(counts)} of {total}", va="center", fontsize=9)
    right.set_yticks(range(len(available)), [shortened(name) for name, _ in available])
    right.set_xlim(0, 1.25 * total)
    right.set_title("channels and region maps, cases that have them")
    for axes in (left, right):
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.set_xticks([])
        axes.spines[["bottom", "left"]].set_visible(False)
    return figure


def draw_grids(groups: Sequence[Group], plan: Plan) -> Figure:
    """Spacing, size and field of view of the base images, and extent of body and regions, along z, y and x."""
    cases = [c for g in groups for c in g.cases]
    rows: list[tuple[str, Callable[[CaseFingerprint], Sequence[float] | None], Sequence[float] | None]] = [
        ("spacing, mm", lambda c: c.spacing_mm, plan.spacing_mm),
        ("size, voxels", lambda c: [float(n) for n in c.size], None),
        ("field of view, mm", lambda c: c.image_extent_mm, None),
    ]
    room = [n * s for n, s in zip(plan.patch_size, plan.spacing_mm, strict=True)]
    if any(c.body_extent_mm for c in cases):
        rows.append(("body, mm", lambda c: c.body_extent_mm, None))
    if any(c.region_extent_mm for c in cases):
        rows.append(("extent of the regions, mm", lambda c: c.region_extent_mm, room))
    figure, axes = new_figure(3, rows=len(rows), height=_ROW * len(rows))
    for first, (what, triple, planned) in zip(range(0, len(axes), 3), rows, strict=True):
        for axis, place in enumerate(axes[first : first + 3]):
            shown = [[t[axis] for c in g.cases if (t := triple(c)) is not None] for g in groups]
            pooled = np.array([v for values in shown for v in values])
            lines = [(planned[axis], _PLANNED)] if planned is not None else []
            lines += [(float(outlier_limit(pooled)), _LIMIT)] if what.startswith("extent") else []
            stacked_histogram(place, shown, groups, bin_edges(np.r_[pooled, [x for x, _ in lines]]))
            for x, style in lines:
                place.axvline(x, **style)
            place.set_title(f"{what}, {'zyx'[axis]}")
    return figure


def draw_lesions(groups: Sequence[Group], plan: Plan) -> Figure | None:
    """Lesions a case, volume of each, volume of all of a case, organ volume; None where nothing is marked."""
    cases = [c for g in groups for c in g.cases]
    panels: list[Callable[[Axes], None]] = []
    smallest = plan.graph.smallest_lesion_mm3
    if any(c.lesion_volumes_mm3 for c in cases):
        panels += [
            lambda axes: _lesion_counts(axes, groups, plan),
            lambda axes: _volumes(axes, groups, "volume of each lesion, cm³", _each_lesion, smallest),
            lambda axes: _volumes(axes, groups, "all lesions of a case, cm³", _all_lesions),
        ]
    if any(c.organ_volume_mm3 for c in cases):
        panels.append(lambda axes: _volumes(axes, groups, "organ of a case, cm³", _organ))
    if not panels:
        return None
    figure, places = new_figure(len(panels), height=2.5)
    for axes, paint in zip(places, panels, strict=True):
        paint(axes)
    return figure


def new_figure(columns: int, *, rows: int = 1, height: float, left: float = 0.6) -> tuple[Figure, list[Axes]]:
    """A figure as wide as the page, and its axes row by row; sizes in inches, ``left`` of each axes is for labels."""
    from matplotlib.figure import Figure

    across = (WIDTH - _RIGHT) / columns - left
    up = height / rows - _TOP - _BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(rows, columns)
    figure.subplots_adjust(
        left / WIDTH, _BOTTOM / height, 1 - _RIGHT / WIDTH, 1 - _TOP / height, left / across, (_TOP + _BOTTOM) / up
    )
    return figure, list(np.ravel(axes))


def stacked_histogram(
    axes: Axes,
    values: Sequence[Sequence[float]],
    groups: Sequence[Group],
    edges: NDArray[np.float64],
    of: str = "cases",
) -> None:
    """How many values lie in each bin, one colour a group."""
    from matplotlib.ticker import MaxNLocator

    axes.hist([np.asarray(v, float) for v in values], bins=edges.tolist(), stacked=True,
              color=[g.colour for g in groups], edgecolor="white", linewidth=0.4)  # fmt: skip
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.set_ylabel(of, fontsize=8.5, color=FAINT)
    axes.tick_params(labelsize=8.5)


def log_axis(axes: Axes, edges: NDArray[np.float64]) -> None:
    """A logarithmic x axis with few round numbers."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    decades = float(np.log10(edges[-1] / edges[0]))
    subs = (1, 2, 3, 4, 5, 6, 7, 8) if decades < 0.7 else (1, 2, 5) if decades < 2 else (1,)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep="") if edges[-1] > 1e4 else "{x:g}")


def bin_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of equal bins from the lowest to the highest value; values that are nearly one stand amid 10 % about it."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 0.02 * max(abs(low), abs(high)):
        margin = 0.1 * abs(low) or 0.5
        low, high = low - margin, high + margin
    return np.linspace(low, high, BINS + 1)


def log_edges(values: Sequence[float]) -> NDArray[np.float64]:
    """Edges of equal bins on a logarithmic scale, of positive values."""
    return np.asarray(10 ** bin_edges(np.log10(values)), dtype=np.float64)


def shortened(name: str, most: int = 22) -> str:
    """A name that fits beside a bar."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _having(group: Group, channel: int) -> int:
    return sum(c.present[channel] for c in group.cases)


def _cases(group: Group) -> str:
    count = len(group.cases)
    return f"{count}" if count == group.patients else f"{count}, {group.patients} patients"


def _stacked_bar(axes: Axes, y: int, counts: Sequence[int], groups: Sequence[Group]) -> None:
    left = 0
    for count, group in zip(counts, groups, strict=True):
        axes.barh(y, count, left=left, color=group.colour)
        left += count
    whole = sum(len(g.cases) for g in groups)
    axes.barh(y, whole, facecolor="none", edgecolor="#c8d0d8", linewidth=0.8)


def _lesion_counts(axes: Axes, groups: Sequence[Group], plan: Plan) -> None:
    counts = [[float(len(c.lesion_volumes_mm3)) for c in g.cases] for g in groups]
    most = max(plan.graph.lesions + 1, int(max(v for own in counts for v in own)))
    width = -(-(most + 1) // 24)
    stacked_histogram(axes, counts, groups, np.arange(0.0, most + width + 1, width, dtype=np.float64) - 0.5)
    axes.locator_params(axis="x", integer=True)
    if plan.graph.lesions:
        axes.axvline(plan.graph.lesions + 0.5, **_PLANNED)
    axes.set_title("lesions a case")


def _volumes(axes: Axes, groups: Sequence[Group], title: str, measure: Values, smallest: float | None = None) -> None:
    """Volumes on a logarithmic scale; ``smallest``: of the lesions that count, mm³."""
    values = [[v / 1000 for c in g.cases for v in measure(c) if v > 0] for g in groups]
    marks = [] if smallest is None else [smallest / 1000]
    edges = log_edges([*(v for own in values for v in own), *marks])
    stacked_histogram(axes, values, groups, edges, of="cases" if smallest is None else "lesions")
    log_axis(axes, edges)
    for mark in marks:
        axes.axvline(mark, **_PLANNED)
    axes.set_title(title)


def _each_lesion(case: CaseFingerprint) -> Sequence[float]:
    return case.lesion_volumes_mm3


def _all_lesions(case: CaseFingerprint) -> Sequence[float]:
    return [sum(case.lesion_volumes_mm3)]


def _organ(case: CaseFingerprint) -> Sequence[float]:
    return [case.organ_volume_mm3] if case.organ_volume_mm3 else []
