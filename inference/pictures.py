"""A picture of one case: three planes through its most important lesion, CT above, explanation below."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.drawing.marks import black_outline, draw_contour, scale_bar
from reactkd_auto.drawing.style import LIGHT_INK, ROLE_COLOURS
from reactkd_auto.drawing.windows import SHAPE, Window, ct_window
from reactkd_auto.inference.display import DisplayCase
from reactkd_auto.jsonio import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BACKGROUND = "#0f1216"
FAINT = "#93a1b3"
OPACITY = 0.45
FAINTEST_TOP = 0.25
"""The colour scale ends here or higher, so that weak evidence looks weak."""
WIDTH_INCHES, HEAD_INCHES, GAP_INCHES, BAR_INCHES = 12.0, 0.75, 0.1, 0.8
DPI = 100
_Place = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Plane:
    """How one plane is cut and which way its edges point: (left, right, top, bottom) in patient terms.

    Axes are z, y, x of an array in LPS order: x runs to the patient's left, y to the back, z to the head. Axial and
    coronal planes are seen the radiological way, the patient's right on the picture's left.
    """

    name: str
    axis: int
    letters: tuple[str, str, str, str]
    upside_down: bool


@dataclass(frozen=True)
class _Layout:
    """Size of the figure in inches, and a place (left, bottom, width, height; fractions) a plane, row by row."""

    size: tuple[float, float]
    places: tuple[tuple[_Place, ...], ...]


PLANES = (
    _Plane("axial", 0, ("R", "L", "A", "P"), False),
    _Plane("coronal", 1, ("R", "L", "S", "I"), True),
    _Plane("sagittal", 2, ("A", "P", "S", "I"), True),
)


def choose_window(case: DisplayCase) -> Window:
    """Soft tissue, or lung where the surroundings of the lesion are mostly air; the shape's own for a mask."""
    if not case.is_ct:
        return SHAPE
    centre = tuple(slice(max(0, c - r), c + r + 1) for c, r in zip(case.centre, case.voxels(20.0), strict=True))
    return ct_window(case.image[centre])


def draw_case(
    path: Path, case: DisplayCase, *, title: str, subtitle: str = "", measure: str = "share of the evidence"
) -> None:
    """Write the picture as PNG: CT with region contours, and under it the same planes with the explanation.

    Args:
        path: Where to.
        case: Arrays on the display grid.
        title: Such as the case's name and answer.
        subtitle: A second, fainter line.
        measure: What the explanation's numbers are.
    """
    from matplotlib.figure import Figure

    window = choose_window(case)
    layout = _layout(case, rows=1 if case.explanation is None else 2)
    figure = Figure(figsize=layout.size, facecolor=BACKGROUND)
    image = None
    for row, places in enumerate(layout.places):
        for plane, place in zip(PLANES, places, strict=True):
            image = _draw_plane(figure.add_axes(place), case, plane, window, explained=row == 1) or image
    if image is not None:
        _colour_bar(figure, image, layout, measure)
    _headline(figure, title, subtitle, window, case)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor=BACKGROUND, format="png", metadata={"Software": None})


def _layout(case: DisplayCase, *, rows: int) -> _Layout:
    """All planes at one scale (mm per inch), side by side; rows share their places."""
    extents = [_extent_mm(case, plane) for plane in PLANES]
    bar = BAR_INCHES if rows == 2 else 0.0
    scale = (WIDTH_INCHES - bar - 4 * GAP_INCHES) / sum(width for width, _ in extents)
    tallest = scale * max(height for _, height in extents)
    total = HEAD_INCHES + rows * (tallest + GAP_INCHES)
    places = []
    for row in range(rows):
        top, left, line = total - HEAD_INCHES - row * (tallest + GAP_INCHES), GAP_INCHES, []
        for width, height in extents:
            bottom = top - (tallest + scale * height) / 2
            line.append((left / WIDTH_INCHES, bottom / total, scale * width / WIDTH_INCHES, scale * height / total))
            left += scale * width + GAP_INCHES
        places.append(tuple(line))
    return _Layout((WIDTH_INCHES, total), tuple(places))


def _draw_plane(axes: Axes, case: DisplayCase, plane: _Plane, window: Window, *, explained: bool) -> Any:
    width, height = _extent_mm(case, plane)
    box = (0.0, width, height, 0.0)
    axes.set_facecolor("black")
    axes.imshow(cut_plane(case.image, case, plane), cmap="gray", vmin=window.lower, vmax=window.upper, extent=box,
                interpolation="bilinear")  # fmt: skip
    image = None
    if explained and case.explanation is not None:
        share = cut_plane(case.explanation, case, plane)
        top = max(float(case.explanation.max()), FAINTEST_TOP)
        opacity = OPACITY * (share > 0.02 * float(case.explanation.max()))
        image = axes.imshow(share, cmap=_explanation_colours(), vmin=0, vmax=top, alpha=opacity, extent=box,
                            interpolation="nearest")  # fmt: skip
    _draw_contours(axes, case, plane, width, height)
    _decorate(axes, case, plane, width, height, first=not explained)
    return image


def _explanation_colours() -> Any:
    """Dark violet to orange: the pale end of the colour map would hide white contours and bone."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("explanation", colormaps["inferno"](np.linspace(0.18, 0.82, 64)))


def _draw_contours(axes: Axes, case: DisplayCase, plane: _Plane, width: float, height: float) -> None:
    labels = cut_plane(case.regions, case, plane)
    for value, role in case.roles.items():
        draw_contour(axes, labels == value, width, height, colors=[ROLE_COLOURS[role]], linewidths=1.1, alpha=0.9)


def _decorate(axes: Axes, case: DisplayCase, plane: _Plane, width: float, height: float, *, first: bool) -> None:
    axes.set_axis_off()
    places = ((0.015, 0.5), (0.985, 0.5), (0.5, 0.985), (0.5, 0.015))
    aligned = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    style: dict[str, Any] = {"color": LIGHT_INK, "fontsize": 10, "transform": axes.transAxes}
    style["path_effects"] = black_outline()
    for letter, (x, y), (ha, va) in zip(plane.letters, places, aligned, strict=True):
        axes.text(x, y, letter, ha=ha, va=va, fontweight="bold", **style)
    if first:
        axes.text(0.02, 0.98, plane.name, ha="left", va="top", **(style | {"fontsize": 9}))
    scale_bar(axes, width, height)


def _headline(figure: Any, title: str, subtitle: str, window: Window, case: DisplayCase) -> None:
    top = 1 - 0.1 / figure.get_figheight()
    line = 0.3 / figure.get_figheight()
    figure.text(0.012, top, title, color=LIGHT_INK, fontsize=13, fontweight="bold", va="top")
    figure.text(0.012, top - line, subtitle, color=FAINT, fontsize=10, va="top")
    figure.text(0.988, top - line, window.label, color=FAINT, fontsize=10, va="top", ha="right")
    drawn = [r for r in ROLE_COLOURS if r in {case.roles[v] for v in np.unique(case.regions) if v in case.roles}]
    for i, role in enumerate(reversed(drawn)):
        figure.text(0.988 - 0.07 * i, top, f"— {role}", color=ROLE_COLOURS[role], fontsize=10, va="top", ha="right")


def _colour_bar(figure: Any, image: Any, layout: _Layout, measure: str) -> None:
    _, bottom, _, height = max(layout.places[-1], key=lambda place: place[3])
    left = 1 - (BAR_INCHES - GAP_INCHES) / WIDTH_INCHES
    bar = figure.colorbar(image, cax=figure.add_axes((left, bottom + 0.1 * height, 0.011, 0.8 * height)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=FAINT, labelsize=8, length=0)
    bar.ax.locator_params(nbins=6)
    bar.set_label(measure, color=FAINT, fontsize=8)


def cut_plane(array: NDArray[Any], case: DisplayCase, plane: _Plane) -> NDArray[Any]:
    """The plane of a layer through the case's centre, rows from the picture's top, columns from its left."""
    cut = np.take(array, case.centre[plane.axis], axis=plane.axis)
    return cut[::-1] if plane.upside_down else cut


def _extent_mm(case: DisplayCase, plane: _Plane) -> tuple[float, float]:
    """Width and height of a plane in mm."""
    height, width = (
        n * s for i, (n, s) in enumerate(zip(case.image.shape, case.spacing, strict=True)) if i != plane.axis
    )
    return width, height
