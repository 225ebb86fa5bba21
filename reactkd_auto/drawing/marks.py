"""Marks on images whose axes are in mm, from the picture's top left corner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .style import LIGHT_INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCALE_BARS_MM = (5, 10, 20, 50, 100)


def black_outline(width: float = 2.5) -> list[Any]:
    """Path effect that keeps light marks legible on any image."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="black")]


def scale_bar(axes: Axes, width: float, height: float, *, fontsize: float = 8) -> None:
    """A bar of a round length, at most 30 % of the width, at the bottom left of an image of these mm."""
    length = max((b for b in SCALE_BARS_MM if b <= 0.3 * width), default=SCALE_BARS_MM[0])
    x, y = 0.04 * width, 0.955 * height
    outline = black_outline()
    axes.plot([x, x + length], [y, y], color=LIGHT_INK, linewidth=2.5, solid_capstyle="butt", path_effects=outline)
    label: dict[str, Any] = {"ha": "center", "va": "bottom", "color": LIGHT_INK, "path_effects": outline}
    axes.text(x + length / 2, y - 0.012 * height, f"{length} mm", fontsize=fontsize, **label)


def draw_contour(axes: Axes, mask: NDArray[np.bool_], width: float, height: float, **style: Any) -> None:
    """Outline of a mask (rows, columns) on an image of ``width`` × ``height`` mm, closed at the image's border.

    ``style`` is that of `matplotlib.axes.Axes.contour`.
    """
    if not mask.any() or min(mask.shape) < 2:
        return
    step_y, step_x = height / mask.shape[0], width / mask.shape[1]
    y, x = ((np.arange(-1, n + 1) + 0.5) * step for n, step in zip(mask.shape, (step_y, step_x), strict=True))
    axes.contour(x, y, np.pad(mask.astype(float), 1), levels=[0.5], **style)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
