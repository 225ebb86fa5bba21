"""How well one CT lies on another, for a given transform: overlap, mutual information, correlation, Dice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .information import codes, mutual_information

AIR_HU = -1000.0
RANGE_HU = (-500.0, 500.0)
TISSUE_HU = (-200.0, 300.0)
BODY_HU = -300.0
BINS = 32
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Fit:
    """What `compare` found; see `reactkd_auto.fingerprint.RegistrationQuality`."""

    overlap: float
    information: float
    correlation: float


def compare(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform) -> Fit:
    """How ``moving`` fits when ``transform`` takes points of ``fixed`` to it, over all of ``fixed``.

    What ``moving`` lacks counts as air: transforms that overlap less do not win by it.
    """
    ours, theirs = sitk.GetArrayViewFromImage(fixed), resampled(moving, fixed, transform)
    ones = sitk.Image(moving.GetSize(), sitk.sitkUInt8) + 1
    ones.CopyInformation(moving)
    seen = sitk.GetArrayFromImage(sitk.Resample(ones, fixed, transform, sitk.sitkNearestNeighbor, 0)) > 0
    information = mutual_information(codes(ours, *RANGE_HU, BINS), codes(theirs, *RANGE_HU, BINS), BINS)
    bodies = seen & ((ours > BODY_HU) | (theirs > BODY_HU))
    return Fit(float(seen.mean()), information, _correlation(ours[bodies], theirs[bodies]))


def resampled(moving: sitk.Image, fixed: sitk.Image, transform: sitk.Transform) -> Values:
    """HU of ``moving`` on the grid of ``fixed``, air where it has none."""
    return sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, AIR_HU))


def dice(base: sitk.Image, other: sitk.Image, transform: sitk.Transform) -> float:
    """2 |A ∩ B| / (|A| + |B|) of two masks when ``transform`` takes points of ``base`` to ``other``.

    B is counted on its own grid, so that what leaves the base image counts as missed.
    """
    ours = sitk.GetArrayViewFromImage(base) > 0
    theirs = sitk.GetArrayFromImage(sitk.Resample(other, base, transform, sitk.sitkNearestNeighbor, 0)) > 0
    voxel, other_voxel = (float(np.prod(i.GetSpacing())) for i in (base, other))
    both = float(ours.sum()) * voxel + float((sitk.GetArrayViewFromImage(other) > 0).sum()) * other_voxel
    return 2 * float((ours & theirs).sum()) * voxel / both if both else 0.0


def _correlation(ours: Values, theirs: Values) -> float:
    """Pearson's, of soft tissue's HU: bone and air are held at its ends."""
    if ours.size < 2:
        return 0.0
    a, b = np.clip(ours, *TISSUE_HU).astype(np.float64), np.clip(theirs, *TISSUE_HU).astype(np.float64)
    spread = float(a.std() * b.std())
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0
