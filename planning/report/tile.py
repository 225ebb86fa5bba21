"""One preprocessed case: the axial slice through its largest lesion in every channel, and its region graph."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from reactkd_auto.cases import PreprocessedCase
from reactkd_auto.dataset import Channel, Dataset
from reactkd_auto.drawing.marks import black_outline, draw_contour, scale_bar
from reactkd_auto.drawing.style import LIGHT_INK, ROLE_COLOURS, STYLE
from reactkd_auto.drawing.windows import SHAPE, Window, ct_window
from reactkd_auto.plan import Plan
from reactkd_auto.regions.geometry import nearest_inside
from reactkd_auto.regions.slots import Slot, SlotKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND_COLOURS: dict[SlotKind, str] = {
    "organ": ROLE_COLOURS["organ"],
    "parcel": "#c9a6ff",
    "lesion": ROLE_COLOURS["lesion"],
    "ring": "#ffb454",
    "other_lesions": "#ff8fa3",
    "context": ROLE_COLOURS["context"],
}
OUTLINED: tuple[SlotKind, ...] = ("organ", "context", "lesion", "other_lesions")
"""Regions themselves; parcels and rings are drawn with the graph only."""
UPTAKE = Window("", 0.0, 7.0, "SUV")
OUTSIDE = "#20262e"
SURROUNDINGS_MM = 30.0
_PANEL_INCHES, _TITLE_INCHES, _GAP_INCHES, _DPI = 2.55, 0.26, 0.06, 110
_PER_ROW = 4
_FAINTEST_EDGE = 0.01


@dataclass(frozen=True)
class _Slice:
    """A case cut at array index ``z``; width and height in mm."""

    case: PreprocessedCase
    slots: Sequence[Slot]
    z: int
    width: float
    height: float

    def mask(self, slot: Slot) -> NDArray[np.bool_]:
        """Voxels of a slot in the slice."""
        return np.asarray(self.case.nodes[slot.layer, self.z] == slot.index + 1)


def draw_tile(case: PreprocessedCase, plan: Plan, dataset: Dataset, slots: Sequence[Slot]) -> bytes:
    """PNG of a case, the patient's right on the left: channels side by side, then the graph where there is one."""
    cut = _cut(case, slots)
    with mpl.rc_context(STYLE):
        sheet = _Sheet(len(dataset.channels) + bool(slots), cut.height / cut.width)
        for index, channel in enumerate(dataset.channels):
            scale = plan.normalisation[channel.name].storage_scale
            axes = _draw_channel(sheet, cut, index, channel, scale)
            if index == 0:
                scale_bar(axes, cut.width, cut.height, fontsize=7)
        if slots:
            shade = _shade(cut, 0, plan.normalisation[dataset.base.name].storage_scale)
            _draw_graph(sheet.panel("regions and graph"), cut, shade, _window(dataset.base, cut, shade))
        buffer = io.BytesIO()
        sheet.figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


class _Sheet:
    """Panels of one size, filled row by row."""

    def __init__(self, count: int, ratio: float) -> None:
        from matplotlib.figure import Figure

        self.columns = min(count, _PER_ROW)
        rows = -(-count // self.columns)
        self.panel_height = _PANEL_INCHES * ratio
        self.size = (
            self.columns * (_PANEL_INCHES + _GAP_INCHES) - _GAP_INCHES,
            rows * (self.panel_height + _TITLE_INCHES),
        )
        self.figure: Figure = Figure(figsize=self.size)
        self.used = 0

    def panel(self, title: str) -> Axes:
        """The next free panel."""
        row, column = divmod(self.used, self.columns)
        self.used += 1
        width, height = self.size
        left = column * (_PANEL_INCHES + _GAP_INCHES)
        bottom = height - (row + 1) * (self.panel_height + _TITLE_INCHES)
        axes = self.figure.add_axes((left / width, bottom / height, _PANEL_INCHES / width, self.panel_height / height))
        axes.set_facecolor(OUTSIDE)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(title, fontsize=8, pad=3)
        return axes


def _cut(case: PreprocessedCase, slots: Sequence[Slot]) -> _Slice:
    """Through the largest lesion; else through the first region that the case has; else the middle."""
    order = sorted(slots, key=lambda s: s.kind != "lesion")
    masks = (case.nodes[s.layer] == s.index + 1 for s in order if case.properties.node_valid[s.index])
    first = next((m for m in masks if m.any()), None)
    depth, rows, columns = case.valid.shape
    _, y, x = case.properties.spacing_mm
    return _Slice(case, slots, depth // 2 if first is None else nearest_inside(first)[0], columns * x, rows * y)


def _draw_channel(sheet: _Sheet, cut: _Slice, index: int, channel: Channel, scale: float) -> Axes:
    if not cut.case.properties.present[index]:
        axes = sheet.panel(channel.name)
        axes.text(0.5, 0.5, "missing", color=LIGHT_INK, ha="center", va="center", transform=axes.transAxes, fontsize=9)
        return axes
    shade = _shade(cut, index, scale)
    window = _window(channel, cut, shade)
    axes = sheet.panel(channel.name if window is SHAPE else f"{channel.name}: {window.label}")
    _grey(axes, shade, cut, window, reverse=channel.role == "pet_suv")
    for slot in cut.slots:
        if slot.kind in OUTLINED:
            style = {"colors": [KIND_COLOURS[slot.kind]], "linewidths": 0.9}
            draw_contour(axes, cut.mask(slot), cut.width, cut.height, **style)
    return axes


def _shade(cut: _Slice, index: int, scale: float) -> NDArray[Any]:
    """Real values of a channel in the slice, NaN where it was not measured."""
    return np.where(cut.case.valid[cut.z] >> index & 1, cut.case.image[index, cut.z] * scale, np.nan)


def _window(channel: Channel, cut: _Slice, shade: NDArray[Any]) -> Window:
    """What radiology would show the channel in; a channel without a unit by its own percentiles."""
    if channel.role == "binary_mask":
        return SHAPE
    if channel.role == "pet_suv":
        return Window("inverted grey", UPTAKE.lower, UPTAKE.upper, UPTAKE.unit)
    if channel.role == "ct":
        rows, columns = shade.shape
        r, c = (round(SURROUNDINGS_MM * n / mm) for n, mm in ((rows, cut.height), (columns, cut.width)))
        around = shade[max(0, rows // 2 - r) : rows // 2 + r + 1, max(0, columns // 2 - c) : columns // 2 + c + 1]
        return ct_window(around[np.isfinite(around)])
    seen = shade[np.isfinite(shade)]
    low, high = np.percentile(seen, (1, 99)) if seen.size else (0.0, 1.0)
    return Window("1st to 99th percentile", float(low), float(high))


def _grey(axes: Axes, shade: NDArray[Any], cut: _Slice, window: Window, *, reverse: bool = False) -> None:
    colours = mpl.colormaps["gray_r" if reverse else "gray"].with_extremes(bad=OUTSIDE)
    axes.imshow(shade, cmap=colours, vmin=window.lower, vmax=window.upper, extent=(0, cut.width, cut.height, 0),
                interpolation="nearest")  # fmt: skip


def _draw_graph(axes: Axes, cut: _Slice, shade: NDArray[Any], window: Window) -> None:
    """Nodes of the slice in colour, all nodes as dots (hollow: they lie in other slices), edges by their weight."""
    from matplotlib.colors import to_rgba

    _grey(axes, shade, cut, window)
    for slot in cut.slots:
        mask, colour = cut.mask(slot), KIND_COLOURS[slot.kind]
        opacity = 0.22 if slot.kind in ("organ", "parcel") else 0.4
        paint = np.where(mask[..., None], to_rgba(colour, opacity), 0.0)
        axes.imshow(paint, extent=(0, cut.width, cut.height, 0), interpolation="nearest")
        draw_contour(axes, mask, cut.width, cut.height, colors=[colour], linewidths=0.6)
    places = {s.index: place for s in cut.slots if (place := _centroid(cut, s)) is not None}
    edges = np.array(cut.case.properties.edges)
    for i, j in np.argwhere(np.triu(edges, 1) > _FAINTEST_EDGE) if len(edges) else ():
        if i in places and j in places:
            x, y = zip(places[i], places[j], strict=True)
            axes.plot(x, y, color="white", linewidth=1.3, alpha=0.25 + 0.75 * float(edges[i, j]))
    for slot in sorted(cut.slots, key=lambda s: s.kind == "lesion"):  # a ring's centroid is often its lesion's
        if slot.index in places:
            _draw_node(axes, slot, places[slot.index], filled=bool(cut.mask(slot).any()))
    axes.set_xlim(0, cut.width)
    axes.set_ylim(cut.height, 0)


def _draw_node(axes: Axes, slot: Slot, place: tuple[float, float], *, filled: bool) -> None:
    colour = KIND_COLOURS[slot.kind]
    axes.plot(*place, "o", markersize=5, markeredgewidth=1.1, markeredgecolor="black" if filled else colour,
              markerfacecolor=colour if filled else "black")  # fmt: skip
    text: dict[str, Any] = {"color": colour, "fontsize": 7, "ha": "left", "va": "bottom"}
    axes.annotate(_short(slot), place, (3, 3), textcoords="offset points", path_effects=black_outline(1.6), **text)


def _short(slot: Slot) -> str:
    """``L1``, ``P3``, a context region's name; nothing where the colour says it."""
    if slot.kind == "context":
        return slot.name if len(slot.name) <= 10 else f"{slot.name[:9]}…"
    return f"{slot.name[0].upper()}{slot.name.rpartition('_')[2]}" if slot.kind in ("lesion", "parcel") else ""


def _centroid(cut: _Slice, slot: Slot) -> tuple[float, float] | None:
    """(x, y) in mm of a slot's centroid in the whole case, seen from below; None where the case lacks it."""
    mask = cut.case.nodes[slot.layer] == slot.index + 1
    if not mask.any():
        return None
    _, rows, columns = mask.shape
    _, y, x = (float(np.mean(w)) + 0.5 for w in np.nonzero(mask))
    return x * cut.width / columns, y * cut.height / rows
