"""Measures what the lesions of a case take up in each PET channel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import fftconvolve

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import Uptake
from reactkd_auto.imageio import RawCase, array_spacing
from reactkd_auto.plan import TripleMm
from reactkd_auto.regions.intensities import MOST_VOXELS, body_values, regions_on
from reactkd_auto.regions.lookup import mask_of

PEAK_RADIUS_MM = (3 * 1000 / (4 * math.pi)) ** (1 / 3)
"""Of a sphere of 1 cm³."""
BLOCK = 32
"""Slices convolved at a time, so that lesions all over a large PET need little memory."""


def uptake(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """SUV of the lesions and of the body in each present PET channel."""
    channels = [(i, c.name) for i, c in enumerate(dataset.channels) if c.role == "pet_suv" and i in raw.images]
    return {"uptake": {name: _uptake(raw.images[i], regions_on(raw, i), dataset) for i, name in channels}}


def _uptake(image: sitk.Image, regions: sitk.Image | None, dataset: Dataset) -> Uptake:
    """On the channel's own grid."""
    suv = sitk.GetArrayViewFromImage(image)
    lesion = np.zeros(suv.shape, bool)
    if regions is not None:
        lesion = mask_of(sitk.GetArrayViewFromImage(regions), dataset.region_values("lesion"))
    body = float(np.median(body_values(_outside(suv, lesion), "pet_suv")))
    if not lesion.any():
        return Uptake(None, None, None, None, body)
    spacing, values = array_spacing(image), suv[lesion].astype(np.float64)
    return Uptake(
        lesion_max=float(values.max()),
        lesion_peak=peak(suv, lesion, spacing),
        lesion_mean=float(values.mean()),
        lesion_total=float(values.sum() * math.prod(spacing) / 1000),
        body_median=body,
    )


def _outside(suv: NDArray[Any], lesion: NDArray[np.bool_]) -> NDArray[Any]:
    """Values outside of the lesions (all values where there is nothing else), thinned where they are very many."""
    step = -(-suv.size // MOST_VOXELS)
    values, inside = suv.ravel()[::step], lesion.ravel()[::step]
    return values if inside.all() else values[~inside]


def peak(suv: NDArray[Any], lesion: NDArray[np.bool_], spacing: TripleMm) -> float:
    """Highest mean over a sphere of 1 cm³ (what of it lies in the image) round any lesion voxel; arrays (z, y, x)."""
    reach = [math.floor(PEAK_RADIUS_MM / s) for s in spacing]
    offsets = np.meshgrid(*(s * np.arange(-r, r + 1) for s, r in zip(spacing, reach, strict=True)), indexing="ij")
    ball = (sum(o**2 for o in offsets) <= PEAK_RADIUS_MM**2).astype(np.float64)
    (box,) = ndimage.find_objects(lesion.view(np.uint8))
    blocks = range(box[0].start, box[0].stop, BLOCK)
    return max(_highest_mean(suv, lesion, (slice(z, min(z + BLOCK, box[0].stop)), *box[1:]), ball) for z in blocks)


def _highest_mean(
    suv: NDArray[Any], lesion: NDArray[np.bool_], box: tuple[slice, ...], ball: NDArray[np.float64]
) -> float:
    """The same of the lesion voxels in a box, −∞ without any; ``ball`` is the sphere in voxels."""
    reach = [n // 2 for n in ball.shape]
    room = tuple(slice(max(0, b.start - r), b.stop + r) for b, r in zip(box, reach, strict=True))
    inner = tuple(slice(b.start - s.start, b.stop - s.start) for b, s in zip(box, room, strict=True))
    if not lesion[box].any():
        return -math.inf
    crop = suv[room].astype(np.float64)
    means = fftconvolve(crop, ball, "same") / fftconvolve(np.ones_like(crop), ball, "same")
    return float(means[inner][lesion[box]].max())
