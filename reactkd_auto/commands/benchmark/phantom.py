"""A trunk with arms at its sides, made of ellipses: starved rays in one direction, as in shoulders and hips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIELD_MM = 420.0
_PARTS = (
    # centre (y, x), semi-axes (y, x) in mm, HU
    ((0, 0), (105, 150), -90),
    ((0, 0), (95, 138), 45),
    ((-25, -65), (55, 60), 110),
    ((10, 70), (32, 24), 120),
    ((-40, 30), (18, 40), -850),
    ((52, 0), (20, 22), 350),
    ((60, -45), (24, 22), 30),
    ((60, 45), (24, 22), 30),
    ((20, -180), (26, 24), 40),
    ((20, 180), (26, 24), 40),
    ((20, -180), (10, 10), 900),
    ((20, 180), (10, 10), 900),
)


def trunk(slices: int, size: int) -> NDArray[np.int16]:
    """(slices, size, size) HU, `FIELD_MM` wide; the trunk grows by 10 % from the first slice to the last."""
    t = (np.arange(size) - (size - 1) / 2) * FIELD_MM / size
    volume = np.full((slices, size, size), -1000, dtype=np.int16)
    for slice_, growth in zip(volume, np.linspace(0.95, 1.05, slices), strict=True):
        for (cy, cx), (ay, ax), hu in _PARTS:
            slice_[((t[:, None] / growth - cy) / ay) ** 2 + ((t[None] / growth - cx) / ax) ** 2 <= 1] = hu
    return volume
