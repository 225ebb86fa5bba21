"""Whether voxel values can be what a channel's role says: HU, SUV, or a binary mask.

The limits are wide on purpose: they catch another unit or another modality, not an unusual patient.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset import ChannelRole

from .faults import ImageFault

SMALLEST_HU_RANGE = 50.0
LARGEST_UNSHIFTED_HU = 1500.0
MOST_NEGATIVE_SUV = -0.1
LARGEST_SUV = 500.0
LARGEST_MEDIAN_SUV = 20.0
SMALLEST_MEDIAN_SUV = 0.02
NORMALISED_TOLERANCE = 1e-5


def check_units(image: sitk.Image, role: ChannelRole, path: Path) -> None:
    """Check the voxel values against a channel role.

    Raises:
        ImageFault: See `check_ct_units`, `check_suv`, `check_binary_mask`; any role: all voxels are equal.
    """
    if role == "ct":
        check_ct_units(image, path)
    elif role == "pet_suv":
        check_suv(image, path)
    elif role == "binary_mask":
        check_binary_mask(image, path)
    else:
        _check_not_constant(image, path)


def check_ct_units(image: sitk.Image, path: Path) -> None:
    """Check that values can be Hounsfield units (air −1000, water 0, noise on both sides of 0).

    Raises:
        ImageFault: All voxels equal; a range under 50 (normalised values); no negative value (a maximum over 1500:
            probably raw values 0…4095 that lack the rescale intercept −1024; else a windowed image or not a CT).
    """
    values = sitk.GetArrayViewFromImage(image)
    check_ct_range(float(values.min()), float(values.max()), path)


def check_ct_range(low: float, high: float, path: Path) -> None:
    """`check_ct_units` for a volume of which only the lowest and the highest value are known.

    Raises:
        ImageFault: As there.
    """
    expected = "CT in Hounsfield units (air −1000, water 0)"
    _check_not_equal(low, high, path)
    if high - low < SMALLEST_HU_RANGE:
        raise ImageFault(path, f"values {low:.4g}…{high:.4g}, which look normalised", expected)
    if low >= 0 and high > LARGEST_UNSHIFTED_HU:
        raise ImageFault(
            path,
            f"values {low:.4g}…{high:.4g}: raw values that lack the intercept −1024, or not a CT",
            expected,
        )
    if low >= 0:
        raise ImageFault(path, f"values {low:.4g}…{high:.4g}, none negative: a windowed image, or not a CT", expected)


def check_suv(image: sitk.Image, path: Path) -> None:
    """Check that values can be standardised uptake values (body about 1, brain, bladder and tumours to some tens).

    Raises:
        ImageFault: All voxels equal; values under −0.1 (not a PET); from 0 to exactly 1 (normalised); a maximum over
            500 or a median of the body (voxels over a tenth of the 99th percentile) over 20: probably Bq/ml or raw
            counts; such a median under 0.02: another unit.
    """
    values = sitk.GetArrayViewFromImage(image)
    low, high = float(values.min()), float(values.max())
    expected = "PET in standardised uptake values (SUV)"
    _check_not_constant(image, path)
    if low < MOST_NEGATIVE_SUV:
        raise ImageFault(path, f"values down to {low:.4g}", expected)
    body = values[values > 0.1 * np.percentile(values, 99)]
    median = float(np.median(body)) if body.size else 0.0
    if high > LARGEST_SUV or median > LARGEST_MEDIAN_SUV:
        raise ImageFault(path, f"maximum {high:.4g} and median of the body {median:.4g}: Bq/ml or counts", expected)
    if low == 0 and abs(high - 1) < NORMALISED_TOLERANCE:
        raise ImageFault(path, "values from 0 to exactly 1, which look normalised", expected)
    if median < SMALLEST_MEDIAN_SUV:
        raise ImageFault(path, f"maximum {high:.4g} and median of the body {median:.4g}: another unit", expected)


def check_binary_mask(image: sitk.Image, path: Path) -> None:
    """Check that voxels are 0 or 1 and that both occur.

    Raises:
        ImageFault: Another value, or all voxels equal.
    """
    values = np.unique(sitk.GetArrayViewFromImage(image))
    if not np.isin(values, (0, 1)).all():
        raise ImageFault(path, f"values {values[0]:.4g}…{values[-1]:.4g}", "a binary mask of 0 and 1")
    _check_not_constant(image, path)


def _check_not_constant(image: sitk.Image, path: Path) -> None:
    values = sitk.GetArrayViewFromImage(image)
    _check_not_equal(float(values.min()), float(values.max()), path)


def _check_not_equal(low: float, high: float, path: Path) -> None:
    if low == high:
        raise ImageFault(path, f"{low:.4g} in every voxel", "an image with contents")
