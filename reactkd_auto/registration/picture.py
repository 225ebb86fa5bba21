"""A registration to look at: both CTs as a checkerboard, as the files lie and as registered."""

from __future__ import annotations

import io

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.drawing.style import STYLE
from reactkd_auto.drawing.windows import ct_window

from .comparison import resampled
from .session import SessionImages, Solution, prepared

SQUARES = 8
"""Along the longer side."""
_PANEL_INCHES, _TITLE_INCHES, _GAP_INCHES, _DPI = 2.6, 0.3, 0.06, 90
Plane = NDArray[np.float32]


def draw_registration(base: SessionImages, other: SessionImages, found: Solution) -> bytes:
    """PNG of the middle slices of what is compared, before and after; the patient's right on the left."""
    fixed, moving = prepared(base), prepared(other, whole=True)
    ours = sitk.GetArrayViewFromImage(fixed)
    panels: list[tuple[str, Plane]] = []
    for name, transform in (("as the files lie", sitk.Transform()), ("registered", found.transform)):
        theirs = resampled(moving, fixed, transform)
        for plane, cut in (("axial", _axial), ("coronal", _coronal)):
            panels.append((f"{plane}, {name}", checkerboard(cut(ours), cut(theirs))))
    return _png([panels[i] for i in (0, 2, 1, 3)])


def checkerboard(first: Plane, second: Plane) -> Plane:
    """Squares of one image beside squares of the other; the first has the top left one."""
    side = max(1, round(max(first.shape) / SQUARES))
    rows, columns = np.indices(first.shape) // side
    return np.where((rows + columns) % 2 == 0, first, second)


def _axial(volume: Plane) -> Plane:
    return np.asarray(volume[volume.shape[0] // 2])


def _coronal(volume: Plane) -> Plane:
    """The head above."""
    return np.asarray(volume[::-1, volume.shape[1] // 2])


def _png(panels: list[tuple[str, Plane]]) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    heights = [_PANEL_INCHES * plane.shape[0] / plane.shape[1] for _, plane in panels]
    width = len(panels) * (_PANEL_INCHES + _GAP_INCHES) - _GAP_INCHES
    height = max(heights) + _TITLE_INCHES
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        for column, ((title, plane), own) in enumerate(zip(panels, heights, strict=True)):
            left = column * (_PANEL_INCHES + _GAP_INCHES) / width
            axes = figure.add_axes((left, (height - _TITLE_INCHES - own) / height, _PANEL_INCHES / width, own / height))
            window = ct_window(plane)
            axes.imshow(
                plane, cmap="gray", vmin=window.lower, vmax=window.upper, interpolation="nearest", aspect="auto"
            )
            axes.set(xticks=[], yticks=[])
            axes.set_title(title, fontsize=8, pad=3)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
