"""How an axial slice is shown: the patient's right on the left, anterior on top, cut to the body, in a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.drawing.windows import Window, ct_window
from reactkd_auto.planning.degrade.regions import body_of

_MARGIN_MM = 6.0


@dataclass(frozen=True)
class View:
    """Turns and cuts (rows, columns) arrays for display.

    Attributes:
        turned: Rows and columns are exchanged.
        flips: Whether displayed rows and columns run backwards.
        box: Displayed rows and columns.
        spacing: (y, x) mm as displayed.
    """

    turned: bool
    flips: tuple[bool, bool]
    box: tuple[slice, slice]
    spacing: tuple[float, float]

    def show(self, image: NDArray[Any]) -> NDArray[Any]:
        """The array as displayed."""
        turned = image.T if self.turned else image
        return turned[:: -1 if self.flips[0] else 1, :: -1 if self.flips[1] else 1][self.box]

    def zoomed(self, shown_centre: tuple[float, float], share: float) -> View:
        """A part of the view around displayed (row, column), ``share`` as long and as wide."""
        parts = []
        for whole, centre in zip(self.box, shown_centre, strict=True):
            length = whole.stop - whole.start
            wanted = max(8, round(length * share))
            first = round(min(max(centre - wanted / 2, 0), length - wanted)) + whole.start
            parts.append(slice(first, first + wanted))
        return View(self.turned, self.flips, (parts[0], parts[1]), self.spacing)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """matplotlib's extent in mm."""
        rows, columns = (b.stop - b.start for b in self.box)
        return (0.0, columns * self.spacing[1], rows * self.spacing[0], 0.0)


def body_view(
    hu: NDArray[np.generic], spacing: tuple[float, float], direction: Sequence[float], order: tuple[int, int, int]
) -> View:
    """The view of an axial slice that shows its whole body.

    Args:
        hu: (rows, columns).
        spacing: (y, x) mm.
        direction: Of the image, nine numbers, row by row, as SimpleITK has them.
        order: Axis of the image's array that each axis of the stack was.
    """
    axes = np.reshape(direction, (3, 3))
    # Array axis a is SimpleITK's axis 2 − a; its first two components say how far it runs to the left and to the back.
    left_back = [axes[:2, 2 - order[i]] for i in (1, 2)]
    turned = abs(left_back[0][0]) > abs(left_back[0][1])
    rows, columns = left_back[::-1] if turned else left_back
    shown = spacing[::-1] if turned else spacing
    view = View(turned, (bool(rows[1] < 0), bool(columns[0] < 0)), (slice(None), slice(None)), shown)
    body = view.show(body_of(hu))
    return View(turned, view.flips, (_part(body, 1, shown[0]), _part(body, 0, shown[1])), shown)


def choose_window(hu: NDArray[np.generic]) -> Window:
    """Soft tissue, or lung where the slice is mostly lung."""
    return ct_window(np.asarray(hu)[body_of(hu)])


def _part(body: NDArray[np.bool_], over: int, spacing: float) -> slice:
    """Rows (``over`` 1) or columns (0) that the body takes, and a margin."""
    length = body.shape[1 - over]
    places = np.flatnonzero(np.any(body, axis=over))
    if not places.size:
        return slice(0, length)
    margin = round(_MARGIN_MM / spacing)
    return slice(max(0, int(places[0]) - margin), min(length, int(places[-1]) + 1 + margin))
