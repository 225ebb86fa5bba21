"""Where a CT's noise is looked at: one slice, and squares of homogeneous soft tissue in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.dose.degrade import in_field
from reactkd_auto.dose.patches import PATCH, find_patches
from reactkd_auto.dose.volumes import AxialStack

REGIONS = 4
NAMES = "ABCD"
_CANDIDATES = 9
_MOST_PATCHES = 400
_BODY_HU = -500.0
_OPENING = 3
_SMALLEST_SHARE = 0.05


def choose_slice(stack: AxialStack) -> int:
    """Of nine slices of the inner 80 %, the one with most homogeneous soft tissue; where there is none, most body."""
    depth = len(stack.array)
    candidates = np.unique(np.linspace(0.1 * (depth - 1), 0.9 * (depth - 1), _CANDIDATES).round().astype(int))
    patches = find_patches(stack.array, stack.spacing, candidates.tolist(), most=_MOST_PATCHES)

    def content(z: int) -> tuple[int, int]:
        return int((patches.slices == z).sum()), int(body_of(stack.array[z]).sum())

    return int(max(candidates.tolist(), key=content))


def choose_corners(stack: AxialStack, z: int) -> list[tuple[int, int]]:
    """First row and column of up to four homogeneous squares of 32×32 pixels, far from one another.

    The first lies next to the centre of the body, where most rays are starved.
    """
    corners = find_patches(stack.array, stack.spacing, [z], most=_MOST_PATCHES).corners
    if not len(corners):
        return []
    middle = np.argwhere(body_of(stack.array[z])).mean(axis=0) - PATCH / 2
    chosen = [int(np.linalg.norm(corners - middle, axis=1).argmin())]
    while len(chosen) < REGIONS:
        distance = np.linalg.norm(corners[:, None] - corners[chosen], axis=2).min(axis=1)
        if distance.max() < PATCH:
            break
        chosen.append(int(distance.argmax()))
    return [(int(r), int(c)) for r, c in corners[chosen]]


def body_of(hu: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of a slice's largest body, with the air in it; where that is little, all that were measured.

    The couch is left out: it is thin, and apart from the body.
    """
    field = in_field(hu)
    if not field.any():
        return np.ones_like(field)
    solid = ndimage.binary_opening(field & np.asarray(hu > _BODY_HU), iterations=_OPENING)
    labels, count = ndimage.label(solid)
    if not count:
        return field
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    body = ndimage.binary_fill_holes(labels == largest) & field
    return body if body.sum() > _SMALLEST_SHARE * field.sum() else field


def square(corner: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a region."""
    return slice(corner[0], corner[0] + PATCH), slice(corner[1], corner[1] + PATCH)
