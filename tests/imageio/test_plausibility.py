"""Units: what cannot be HU, SUV or a mask is refused; what can be is let through."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.errors import UserError
from reactkd_auto.imageio import check_binary_mask, check_ct_units, check_suv, check_units

FILE = Path("case_0000.nii.gz")


def body(outside: float, inside: float, noise: float) -> np.ndarray:
    """A cylinder in air."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    disc = np.hypot(y - 15.5, x - 15.5) < 12
    return np.where(disc, inside + noise * rng.normal(size=(8, 32, 32)), outside).astype(np.float32)


def image(array: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(array.astype(np.float32))


CT = body(-1000, 40, 15)
PET = np.abs(body(0, 1, 0.5))


def test_a_ct_and_a_crop_within_soft_tissue_are_hu() -> None:
    check_ct_units(image(CT), FILE)
    check_ct_units(image(CT[:, 12:20, 12:20] - 10), FILE)


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.clip(CT * 20, -1000, 3000) + 1024, "intercept"),
        ((CT - CT.min()) / np.ptp(CT), "normalised"),
        ((CT - CT.mean()) / CT.std(), "normalised"),
        (np.clip((CT + 150) * 255 / 400, 0, 255), "windowed"),
        (np.zeros_like(CT), "every voxel"),
        (PET, "normalised"),
    ],
)
def test_what_is_not_hu_is_refused(array: np.ndarray, word: str) -> None:
    with pytest.raises(UserError, match=word):
        check_ct_units(image(array), FILE)


def test_suv_with_hot_lesions_passes() -> None:
    hot = PET.copy()
    hot[4, 15:18, 15:18] = 45
    check_suv(image(hot), FILE)


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (PET * 4000, "Bq/ml"),
        (PET * 40, "Bq/ml"),
        (CT, "down to"),
        (PET * 0, "every voxel"),
        ((PET - PET.min()) / np.ptp(PET), "normalised"),
        (PET / 1000, "another unit"),
    ],
)
def test_what_is_not_suv_is_refused(array: np.ndarray, word: str) -> None:
    with pytest.raises(UserError, match=word):
        check_suv(image(array), FILE)


def test_masks_hold_both_values_and_no_other() -> None:
    mask = (CT > -500).astype(np.float32)
    check_binary_mask(image(mask), FILE)
    for wrong in (mask * 255, mask * 0, mask * 0.5):
        with pytest.raises(UserError):
            check_binary_mask(image(wrong), FILE)


def test_units_follow_the_role() -> None:
    check_units(image(CT), "ct", FILE)
    check_units(image(PET), "pet_suv", FILE)
    check_units(image(PET * 4000), "mr", FILE)
    with pytest.raises(UserError):
        check_units(image(CT), "pet_suv", FILE)
    with pytest.raises(UserError):
        check_units(image(CT * 0), "mr", FILE)


def test_real_ct_and_pet_have_their_units(real_data: Path) -> None:
    from reactkd_auto.imageio import read_image

    for patient in sorted((real_data / "sts_petct").glob("STS_*"))[:3]:
        check_ct_units(read_image(patient / "ct.nii.gz"), patient / "ct.nii.gz")
        check_suv(read_image(patient / "pet_fdg.nii.gz"), patient / "pet_fdg.nii.gz")
