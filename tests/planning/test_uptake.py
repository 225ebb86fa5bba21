"""Uptake of lesions and body, on phantoms whose answer is known."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from reactkd_auto.dataset import Channel, Dataset, Region
from reactkd_auto.imageio import RawCase
from reactkd_auto.planning.uptake import PEAK_RADIUS_MM, peak, uptake

PET = Dataset(
    "T",
    (Channel("CT", "ct"), Channel("FDG", "pet_suv"), Channel("T1", "mr")),
    ("a", "b"),
    (Region("organ", 1, "organ"), Region("lesion", 2, "lesion")),
)
SPACING = (3.0, 2.0, 2.0)
SIZE = (30, 50, 50)


def image(array, spacing=SPACING):
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(spacing[::-1])
    return made


def distances(centre=(15, 25, 25)):
    """mm from a voxel."""
    return np.linalg.norm((np.indices(SIZE).T - np.array(centre)) * np.array(SPACING), axis=-1).T


def phantom(radius_mm=20.0):
    """A body of SUV 1 with a ball of SUV 8 and one voxel of SUV 40 in its middle; its region map."""
    suv = np.zeros(SIZE, np.float32)
    suv[:, 5:45, 5:45] = 1.0
    ball = distances() <= radius_mm
    suv[ball] = 8.0
    suv[15, 25, 25] = 40.0
    labels = np.ones(SIZE, np.uint8)
    labels[ball] = 2
    return suv, labels


def measured(suv, labels):
    ct = image(np.zeros(SIZE, np.float32))
    regions = None if labels is None else image(labels)
    return uptake(RawCase("a", {0: ct, 1: image(suv), 2: image(suv)}, regions), PET)["uptake"]


def test_maximum_mean_total_and_body_of_a_ball_with_one_hot_voxel():
    suv, labels = phantom()
    (name, found), *others = measured(suv, labels).items()
    count = int((labels == 2).sum())
    assert (name, others) == ("FDG", [])
    assert found.lesion_max == 40.0
    assert found.lesion_mean == pytest.approx(8 + 32 / count)
    assert found.lesion_total == pytest.approx((8 * count + 32) * 12 / 1000)
    assert found.lesion_total == pytest.approx(8 * 4 / 3 * math.pi * 2**3, rel=0.05)
    assert found.body_median == 1.0


def test_peak_is_the_highest_mean_over_a_cubic_centimetre():
    suv, labels = phantom()
    in_sphere = int((distances() <= PEAK_RADIUS_MM).sum())
    assert 4 / 3 * math.pi * PEAK_RADIUS_MM**3 == pytest.approx(1000)
    assert measured(suv, labels)["FDG"].lesion_peak == pytest.approx(8 + 32 / in_sphere)


def test_a_lesion_smaller_than_the_sphere_is_diluted_by_what_is_round_it():
    suv, labels = phantom(radius_mm=2.5)
    sphere, ball = distances() <= PEAK_RADIUS_MM, labels == 2
    assert measured(suv, labels)["FDG"].lesion_peak == pytest.approx(float(suv[sphere].mean()))
    assert ball.sum() < sphere.sum()


@given(st.integers(0, 10**6))
def test_peak_lies_between_mean_of_everything_and_maximum_and_equals_a_direct_search(seed):
    rng = np.random.default_rng(seed)
    suv, spacing = rng.uniform(0, 10, (7, 8, 9)), (4.0, 3.0, 2.5)
    lesion = rng.random(suv.shape) < 0.1
    lesion[rng.integers(7), rng.integers(8), rng.integers(9)] = True
    places = np.argwhere(np.ones(suv.shape, bool))
    direct = max(
        suv.ravel()[np.linalg.norm((places - p) * spacing, axis=1) <= PEAK_RADIUS_MM].mean()
        for p in np.argwhere(lesion)
    )
    assert peak(suv, lesion, spacing) == pytest.approx(direct)
    with pytest.MonkeyPatch.context() as patch:  # in blocks of few slices
        patch.setattr("reactkd_auto.planning.uptake.BLOCK", 1 + seed % 3)
        assert peak(suv, lesion, spacing) == pytest.approx(direct)


def test_a_pet_of_very_many_voxels_is_thinned_out_and_still_tells_the_body(monkeypatch):
    monkeypatch.setattr("reactkd_auto.planning.uptake.MOST_VOXELS", 5000)
    assert measured(*phantom())["FDG"].body_median == 1.0


def test_without_a_lesion_only_the_body_is_measured():
    suv, labels = phantom()
    for none in (None, np.ones(SIZE, np.uint8)):
        found = measured(suv, none)["FDG"]
        assert (found.lesion_max, found.lesion_peak, found.lesion_mean, found.lesion_total) == (None,) * 4
        assert found.body_median == 1.0
    assert labels.max() == 2


def test_a_crop_that_is_mostly_tumour_does_not_change_the_body():
    suv, labels = phantom(radius_mm=38.0)
    suv[labels == 1] = np.maximum(suv[labels == 1], 1.0)
    found = measured(suv, labels)["FDG"]
    assert (labels == 2).mean() > 0.25
    assert found.lesion_mean > 7.9
    assert found.body_median == 1.0


def test_the_pet_is_measured_on_its_own_grid():
    suv, labels = phantom()
    ct = image(np.zeros((45, 100, 100), np.float32), (2.0, 1.0, 1.0))
    fine = sitk.Resample(image(labels), ct, sitk.Transform(), sitk.sitkNearestNeighbor)
    found = uptake(RawCase("a", {0: ct, 1: image(suv)}, fine), PET)["uptake"]["FDG"]
    assert found.lesion_max == 40.0
    assert found.lesion_total == pytest.approx(8 * 4 / 3 * math.pi * 2**3, rel=0.08)
