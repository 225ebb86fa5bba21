"""The image channels of a case, stored as int16, and where each was measured."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import RawCase
from reactkd_auto.plan import Normalisation, Plan

from .grid import Grid
from .resample import covered, resample

LOWEST_HU = -1024.0
BACKGROUND_SHARE = 0.1
"""Values up to this share of the 99th percentile are air in images without units."""
FEWEST_VOXELS = 8


def store_channels(
    raw: RawCase, grid: Grid, plan: Plan, dataset: Dataset
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Every channel on the grid.

    Returns:
        image: int16 (channels, z, y, x), real value / storage scale; 0 where the channel is missing, edges replicated
            beyond a channel's ends.
        valid: uint8 (z, y, x), bit c set inside channel c's own extent. The air that a scanner writes outside of its
            field of view is valid: it is a value like any other.
    """
    image = np.zeros((len(dataset.channels), *grid.size), np.int16)
    valid = np.zeros(grid.size, np.uint8)
    for index, source in sorted(raw.images.items()):
        rule = plan.normalisation[dataset.channels[index].name]
        inside = covered(source, grid)
        image[index] = to_int16(_standardised(_resampled(source, grid, rule), inside, rule), rule.storage_scale)
        valid |= inside.astype(np.uint8) << np.uint8(index)
    return image, valid


def store_base(base: sitk.Image, grid: Grid, rule: Normalisation) -> NDArray[np.int16]:
    """The base image on a grid, as `store_channels` stores it."""
    return to_int16(_resampled(base, grid, rule), rule.storage_scale)


def to_int16(values: NDArray[np.float32], scale: float) -> NDArray[np.int16]:
    """``round(values / scale)``, at the ends of int16 where it would not fit."""
    return np.clip(np.rint(values / np.float32(scale)), -32768, 32767).astype(np.int16)


def _resampled(image: sitk.Image, grid: Grid, rule: Normalisation) -> NDArray[np.float32]:
    """CT without the −2000 or −3024 that some scanners write outside of the field of view: it would bleed inwards."""
    return resample(image, grid, lowest=LOWEST_HU if rule.scheme == "ct" else None)


def _standardised(values: NDArray[np.float32], inside: NDArray[np.bool_], rule: Normalisation) -> NDArray[np.float32]:
    """z-score over measured voxels that are not background, for images without units; others unchanged."""
    if rule.scheme not in ("mr", "other") or not inside.any():
        return values
    seen = values[inside]
    tissue = seen[seen > BACKGROUND_SHARE * np.percentile(seen, 99)]
    if tissue.size < FEWEST_VOXELS:
        tissue = seen
    return np.asarray((values - tissue.mean(dtype=np.float64)) / (tissue.std(dtype=np.float64) or 1.0), np.float32)
