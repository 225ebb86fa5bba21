"""Figures of values: what each channel measures in each case's regions, and how noisy the CTs are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from reactkd_auto.dataset import Channel, Dataset
from reactkd_auto.drawing.style import FAINT, INK
from reactkd_auto.fingerprint import LOW_DOSES, QUANTILE_LEVELS, CaseFingerprint, DoseMeasurement, Intensities
from reactkd_auto.plan import Plan
from reactkd_auto.planning.report.groups import Group
from reactkd_auto.planning.report.histograms import bin_edges, log_axis, log_edges, new_figure, stacked_histogram
from reactkd_auto.planning.rules.dose import LARGEST_DEPARTURE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 150
"""More cases than this are thinned out evenly: their lines could not be told apart."""
UNITS = {"ct": "HU", "pet_suv": "SUV", "mr": "no unit", "other": "no unit", "binary_mask": ""}
_LOW, _MIDDLE, _HIGH = (QUANTILE_LEVELS.index(level) for level in (0.05, 0.5, 0.95))
Value = Callable[[CaseFingerprint], float | None]
TICKS = (0.05, 0.1, 0.15, 0.2, 0.25)
_PER_ROW = 3


def draw_intensities(groups: Sequence[Group], dataset: Dataset, plan: Plan) -> Figure | None:
    """One panel a channel, one line a case from the 5th to the 95th percentile; a mask has no values worth drawing."""
    channels = [
        c for c in dataset.channels if c.role != "binary_mask" and any(c.name in x.intensities for x in _all(groups))
    ]
    if not channels:
        return None
    columns = min(_PER_ROW, len(channels))
    rows = -(-len(channels) // columns)
    figure, places = new_figure(columns, rows=rows, height=2.6 * rows)
    for axes in places[len(channels) :]:
        axes.set_axis_off()
    for axes, channel in zip(places, channels, strict=False):
        _ranges(axes, channel, groups, plan)
    return figure


def draw_noise(groups: Sequence[Group], plan: Plan) -> Figure | None:
    """Departure of low doses from the quantum law; flux, strength and sharpness of the noise; None without a CT."""
    doses = [c.dose for c in _all(groups) if c.dose is not None]
    if not doses:
        return None
    panels: list[tuple[str, Value]] = [
        ("noise, HU", lambda c: c.dose.noise_hu if c.dose else None),
        ("sharpness of the noise, mm⁻¹", lambda c: c.dose.sharpness if c.dose else None),
    ]
    panels = [(title, value) for title, value in panels if any(value(c) is not None for c in _all(groups))]
    figure, places = new_figure(2 + len(panels), height=2.7)
    _departures(places[0], doses, plan)
    _flux(places[1], groups)
    for axes, (title, value) in zip(places[2:], panels, strict=True):
        _histogram(axes, groups, title, value)
    return figure


def draw_uptake(groups: Sequence[Group], dataset: Dataset) -> Figure | None:
    """SUVpeak of the lesions and median SUV of the body, a row a PET channel; None without PET."""
    names = [c.name for c in dataset.channels if any(c.name in x.uptake for x in _all(groups))]
    if not names:
        return None
    figure, places = new_figure(2, rows=len(names), height=2.4 * len(names))
    for name, (left, right) in zip(names, zip(places[::2], places[1::2], strict=True), strict=True):
        _histogram(left, groups, f"{name}: SUVpeak of the lesions", _uptake(name, "lesion_peak"))
        _histogram(right, groups, f"{name}: median SUV of the body", _uptake(name, "body_median"))
    return figure


def _uptake(channel: str, field: str) -> Value:
    return lambda case: getattr(case.uptake[channel], field) if channel in case.uptake else None


def _histogram(axes: Axes, groups: Sequence[Group], title: str, value: Value) -> None:
    """Of the cases that have the value; an empty panel where none has."""
    shown = [[v for c in g.cases if (v := value(c)) is not None] for g in groups]
    axes.set_title(title)
    if any(shown):
        stacked_histogram(axes, shown, groups, bin_edges(np.concatenate(shown)))
    else:
        axes.set_axis_off()


def _ranges(axes: Axes, channel: Channel, groups: Sequence[Group], plan: Plan) -> None:
    shown = [
        (found, group.colour) for group in groups for c in group.cases if (found := c.intensities.get(channel.name))
    ]
    thinned = len(shown) > MOST_LINES
    shown.sort(key=lambda pair: (_median(pair[0]), pair[1]))
    if thinned:
        shown = [shown[i] for i in np.linspace(0, len(shown) - 1, MOST_LINES).round().astype(int)]
    for x, (found, colour) in enumerate(shown):
        axes.vlines(x, found.quantiles[_LOW], found.quantiles[_HIGH], color=colour, linewidth=1.2, alpha=0.75)
        axes.plot(x, _median(found), ".", color=colour, markersize=5)
    rule = plan.normalisation[channel.name]
    if rule.scheme in ("ct", "pet_suv"):
        for limit in (rule.lower, rule.upper):
            axes.axhline(limit, color=INK, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
    if channel.role == "pet_suv":
        axes.set_ylim(bottom=0)
    some = f", {MOST_LINES} cases evenly chosen" if thinned else ""
    axes.set_title(f"{channel.name}{f', {UNITS[channel.role]}' if UNITS[channel.role] else ''}{some}")
    axes.set_xticks([])
    axes.set_xlabel("cases by median", fontsize=9, color=FAINT)
    axes.tick_params(labelsize=8.5)


def _departures(axes: Axes, doses: Sequence[DoseMeasurement], plan: Plan) -> None:
    table = np.array([d.departures for d in doses])
    lines = table if len(table) <= MOST_LINES else table[np.linspace(0, len(table) - 1, MOST_LINES).astype(int)]
    axes.plot(LOW_DOSES, lines.T, color="#9fb3c8", linewidth=0.8, alpha=0.6)
    axes.plot(LOW_DOSES, np.median(table, axis=0), "o-", color=INK, linewidth=1.8, markersize=4)
    axes.axhline(LARGEST_DEPARTURE, color="#a4262c", linewidth=1.2, linestyle=(0, (1, 2)))
    if plan.dose.enabled:
        axes.axvline(plan.dose.range[0], color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
    axes.set(xlim=(LOW_DOSES[0], LOW_DOSES[-1]), ylim=(0.95, max(1.6, 1.05 * float(np.median(table, axis=0).max()))))
    axes.set_xticks(TICKS, [f"{100 * x:.0f} %" for x in TICKS])
    axes.set_xlabel("dose", fontsize=9, color=FAINT)
    axes.set_title("added noise / quantum law")
    axes.tick_params(labelsize=8.5)


def _flux(axes: Axes, groups: Sequence[Group]) -> None:
    flux = [[float(np.median(c.dose.calibration["flux"])) for c in g.cases if c.dose] for g in groups]
    edges = log_edges([v for own in flux for v in own])
    stacked_histogram(axes, flux, groups, edges)
    log_axis(axes, edges)
    axes.set_title("flux of a central ray in air, counts")


def _median(found: Intensities) -> float:
    return found.quantiles[_MIDDLE]


def _all(groups: Sequence[Group]) -> list[CaseFingerprint]:
    return [c for g in groups for c in g.cases]
