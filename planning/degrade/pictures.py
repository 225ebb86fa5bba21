"""Pictures of a degraded CT: slices at each dose, maps of the noise, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from reactkd_auto.dose.patches import PATCH
from reactkd_auto.drawing.marks import black_outline, scale_bar
from reactkd_auto.drawing.style import FAINT, INK, STYLE
from reactkd_auto.drawing.windows import Window
from reactkd_auto.jsonio import atomic_path
from reactkd_auto.planning.degrade.display import View, choose_window
from reactkd_auto.planning.degrade.measures import SMOOTHING_MM, SliceNoise
from reactkd_auto.planning.degrade.regions import NAMES, square

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_DOSES = 4
DPI = 100
ROI_COLOURS = ("#4df0e0", "#ffd166", "#ff8fa3", "#b9e07a")
# Okabe & Ito's colours, distinct for colour-blind eyes too; by dose, falling.
DOSE_COLOURS = ("#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D1F", "#7A7A7A")
_NARROWEST, _WIDEST, _PAGE = 260, 520, 1600
_GAP, _HEAD = 8, 34
_ZOOM_SHARE = 0.3
_SMALLEST_ZOOMED_MM = 150.0
_DIFFERENCE_SDS = 2.5


def shown_doses(doses: Sequence[float]) -> list[float]:
    """Up to four of the falling doses, evenly chosen, the first and the last among them."""
    picks = np.unique(np.linspace(0, len(doses) - 1, min(SHOWN_DOSES, len(doses))).round().astype(int))
    return [doses[i] for i in picks]


def per_cent(dose: float) -> str:
    """0.1 → ``10 %``."""
    return f"{100 * dose:.4g} %"


def draw_slices(path: Path, noise: SliceNoise, view: View) -> None:
    """PNG: full dose and each dose; the same enlarged; the difference to full dose."""
    doses = shown_doses(noise.doses)
    window, limit = choose_window(noise.hu), difference_limit(noise)
    images = [noise.hu, *(np.asarray(noise.written[a], dtype=np.float32) for a in doses)]
    views = [view]
    if min(view.extent[1], view.extent[2]) >= _SMALLEST_ZOOMED_MM:
        views.append(view.zoomed(_zoom_centre(noise, view), _ZOOM_SHARE))
    with mpl.rc_context(STYLE):
        sheet = _Sheet(view, columns=len(images), rows=len(views) + 1)
        for column, image in enumerate(images):
            name = "full dose" if column == 0 else f"{per_cent(doses[column - 1])} dose"
            for row, part in enumerate(views):
                axes = sheet.panel(row, column, name if row == 0 else "")
                _grey(axes, part.show(image), part, window.lower, window.upper)
                if column == 0:
                    _mark_rois(axes, noise, part)
                    scale_bar(axes, part.extent[1], part.extent[2], fontsize=13)
        sheet.note(len(views), 0, _window_note(window, limit, enlarged=len(views) > 1))
        for column, image in enumerate(images[1:], start=1):
            _grey(sheet.panel(len(views), column, ""), view.show(image - noise.hu), view, -limit, limit)
        _save_png(sheet.figure, path)


def draw_maps(path: Path, noise: SliceNoise, view: View) -> None:
    """PNG: predicted and measured SD of the added noise at the lowest dose, their ratio, its distribution."""
    dose = noise.doses[-1]
    top = float(np.percentile(noise.measured(dose)[noise.body], 99.5))
    with mpl.rc_context(STYLE):
        sheet = _Sheet(view, columns=4, rows=1, bars=True)
        predicted = view.show(noise.predicted[-1])
        maps = (
            (f"predicted added SD at {per_cent(dose)}, HU", predicted, "viridis", 0.0, top),
            (f"measured, {noise.drawn.count} realisations, HU", view.show(noise.measured(dose)), "viridis", 0.0, top),
            ("measured / predicted", view.show(noise.ratio(dose)), "RdBu_r", 0.8, 1.2),
        )
        inside = view.show(noise.body)
        for column, (title, image, colours, low, high) in enumerate(maps):
            axes = sheet.panel(0, column, title)
            shade = np.where(inside, image, np.nan)
            drawn = axes.imshow(shade, cmap=colours, vmin=low, vmax=high, extent=view.extent, interpolation="nearest")
            axes.set_facecolor("#f0f2f5")
            sheet.bar(column, drawn)
        _histogram(sheet.plot(3), noise, sheet.font)
        _save_png(sheet.figure, path)


def difference_limit(noise: SliceNoise) -> float:
    """Grey window of the differences: ± 2.5 SD of the lowest dose, a round number of HU."""
    sd = float(np.median(noise.predicted[-1][noise.body]))
    wanted = max(_DIFFERENCE_SDS * sd, 1.0)
    unit = 10.0 ** np.floor(np.log10(wanted))
    return float(np.ceil(wanted / unit) * unit)


class _Sheet:
    """Panels of one size, side by side: one picture pixel a CT pixel, up to two where there are few panels."""

    def __init__(self, view: View, *, columns: int, rows: int, bars: bool = False) -> None:
        from matplotlib.figure import Figure

        _, width_mm, height_mm, _ = view.extent
        pixels = (view.box[1].stop - view.box[1].start) * (view.spacing[1] / min(view.spacing))
        self.width = float(np.clip(max(pixels, min(_PAGE / columns, 2 * pixels)), _NARROWEST, _WIDEST))
        self.height = self.width * height_mm / width_mm
        self.below = 46 if bars else 0
        self.columns, self.rows = columns, rows
        self.size = (
            columns * self.width + (columns + 1) * _GAP,
            _HEAD + rows * (self.height + _GAP) + self.below,
        )
        self.figure: Figure = Figure(figsize=(self.size[0] / DPI, self.size[1] / DPI), facecolor="white")

    def panel(self, row: int, column: int, title: str) -> Axes:
        """Axes for an image."""
        axes = self.figure.add_axes(self._place(row, column))
        axes.set_axis_off()
        if title:
            axes.set_title(title, fontsize=self.font, color=INK, pad=6)
        return axes

    def plot(self, column: int) -> Axes:
        """Axes for a curve, with room for its labels."""
        left, bottom, width, height = self._place(0, column)
        shift = 24 / self.size[0]
        return self.figure.add_axes((left + shift, bottom, width - 2 * shift, height))

    def bar(self, column: int, drawn: Any) -> None:
        """A colour bar under a panel."""
        left, bottom, width, _ = self._place(0, column)
        axes = self.figure.add_axes((left + width * 0.1, bottom - 18 / self.size[1], width * 0.8, 9 / self.size[1]))
        bar = self.figure.colorbar(drawn, cax=axes, orientation="horizontal")
        bar.outline.set_visible(False)
        axes.tick_params(labelsize=self.font - 2, length=2)

    def note(self, row: int, column: int, text: str) -> None:
        """Words in the place of a panel."""
        left, bottom, width, height = self._place(row, column)
        self.figure.text(
            left + 0.02 * width,
            bottom + height / 2,
            text,
            fontsize=self.font,
            color=FAINT,
            va="center",
            linespacing=1.5,
        )

    @property
    def font(self) -> float:
        """Size of the letters that suits the panels."""
        return float(np.clip(self.width / 26, 11, 17))

    def _place(self, row: int, column: int) -> tuple[float, float, float, float]:
        top = self.size[1] - _HEAD - row * (self.height + _GAP)
        left = _GAP + column * (self.width + _GAP)
        width, height = self.size
        return left / width, (top - self.height) / height, self.width / width, self.height / height


def _grey(axes: Axes, image: NDArray[Any], view: View, low: float, high: float) -> None:
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, extent=view.extent, interpolation="bilinear")


def _window_note(window: Window, limit: float, *, enlarged: bool) -> str:
    lines = [f"{window.name} window", f"{window.lower:.0f}…{window.upper:.0f} HU".replace("-", "−")]
    if enlarged:
        lines += ["", "middle row: enlarged"]
    return "\n".join([*lines, "", "this row: less full dose,", f"grey −{limit:.0f}…{limit:.0f} HU"])


def _zoom_centre(noise: SliceNoise, view: View) -> tuple[float, float]:
    """Displayed (row, column) that is enlarged: the first region, or the middle."""
    if not noise.corners:
        rows, columns = view.show(noise.hu).shape
        return rows / 2, columns / 2
    row, column = np.argwhere(_shown_square(noise, view, 0)).mean(axis=0)
    return float(row), float(column)


def _shown_square(noise: SliceNoise, view: View, region: int) -> NDArray[np.bool_]:
    mask = np.zeros(noise.hu.shape, dtype=bool)
    mask[square(noise.corners[region])] = True
    return view.show(mask)


def _mark_rois(axes: Axes, noise: SliceNoise, view: View) -> None:
    from matplotlib.patches import Rectangle

    for i in range(len(noise.corners)):
        places = np.argwhere(_shown_square(noise, view, i))
        if len(places) < PATCH**2:  # cut by the view
            continue
        (top, left), (bottom, right) = places.min(0), places.max(0) + 1
        y, x = top * view.spacing[0], left * view.spacing[1]
        height, width = (bottom - top) * view.spacing[0], (right - left) * view.spacing[1]
        axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=ROI_COLOURS[i], linewidth=1.4))
        letter: dict[str, Any] = {
            "color": ROI_COLOURS[i],
            "fontsize": 15,
            "fontweight": "bold",
            "path_effects": black_outline(),
        }
        axes.text(x, y - 1, NAMES[i], va="bottom", **letter)


def _histogram(axes: Axes, noise: SliceNoise, font: float) -> None:
    bins = np.linspace(0.8, 1.2, 81).tolist()
    for i, dose in enumerate(noise.doses):
        ratio = np.clip(noise.ratio(dose)[noise.body], 0.8, 1.2)
        colour = DOSE_COLOURS[i % len(DOSE_COLOURS)]
        axes.hist(ratio, bins=bins, density=True, histtype="step", color=colour, linewidth=1.6, label=per_cent(dose))
    axes.axvline(1, color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0.8, 1.2), yticks=[])
    axes.tick_params(labelsize=font - 2)
    axes.spines["left"].set_visible(False)
    axes.set_title(f"ratio over {SMOOTHING_MM:.0f} mm squares", fontsize=font, color=INK, pad=6)
    axes.legend(title="dose", loc="upper right", fontsize=font - 2, title_fontsize=font - 2)


def _save_png(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor="white", format="png", metadata={"Software": None})
