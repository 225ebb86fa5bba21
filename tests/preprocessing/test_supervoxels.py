"""Supervoxels fill the body, follow its edges, and mean the same place in every patient."""

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.imageio import read_image, to_canonical
from reactkd_auto.preprocessing.supervoxels import (
    SPLITS,
    body_mask,
    supervoxel_map,
    supervoxel_regions,
    supervoxel_values,
)
from tests.builders import small_dataset

SPACING = (5.0, 3.0, 3.0)


def trunk(*, size=(24, 60, 72), shift=(0, 0), seed=0):
    """An elliptic body with a lung in it, on a couch: HU, and where the body is."""
    z, y, x = np.indices(size).astype(float)
    body = ((y - 28 - shift[0]) / 20) ** 2 + ((x - 36 - shift[1]) / 28) ** 2 <= 1
    lung = ((y - 28 - shift[0]) / 10) ** 2 + ((x - 24 - shift[1]) / 9) ** 2 + ((z - 18) / 9) ** 2 <= 1
    hu = np.where(body, 40.0, -1000.0)
    hu[lung] = -850
    hu[:, 57:59, 10:60] = 200
    return as_ct(hu + np.random.default_rng(seed).normal(0, 10, size)), body


def as_ct(hu):
    image = sitk.GetImageFromArray(hu.astype(np.float32))
    image.SetSpacing(SPACING[::-1])
    return image


def labels_of(image, count=8):
    return sitk.GetArrayFromImage(supervoxel_map(image, tuple(range(1, count + 1))))


@pytest.mark.parametrize("count", SPLITS)
def test_they_fill_the_body_with_its_lungs_and_leave_air_and_couch_out(count):
    ct, body = trunk()
    labels = labels_of(ct, count)
    assert set(np.unique(labels)) == set(range(count + 1))
    assert (labels[body] > 0).mean() > 0.98
    assert (labels[~body] > 0).mean() < 0.04
    assert not labels[:, 56:].any()
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.min() > 0.3 * body.sum() / count


def test_the_same_ct_gives_the_same_map_and_another_region_value_only_renames():
    ct, _ = trunk()
    first = labels_of(ct)
    np.testing.assert_array_equal(first, labels_of(ct))
    renamed = sitk.GetArrayFromImage(supervoxel_map(ct, tuple(range(11, 19))))
    np.testing.assert_array_equal(renamed, np.where(first > 0, first + 10, 0))


def test_a_number_means_the_same_place_in_another_patient():
    first, second = (labels_of(trunk(shift=shift, seed=seed)[0]) for seed, shift in enumerate(((0, 0), (4, -6))))
    for number in range(1, 9):
        moved = np.roll(first == number, (4, -6), axis=(1, 2))
        overlap = 2 * (moved & (second == number)).sum() / (moved.sum() + (second == number).sum())
        assert overlap > 0.6, number


def test_numbers_run_from_right_to_left_from_front_to_back_and_upwards():
    labels = labels_of(trunk()[0])
    centre = np.array([np.argwhere(labels == k).mean(axis=0) for k in range(1, 9)]).reshape(2, 2, 2, 3)
    assert (centre[1, ..., 0] > centre[0, ..., 0]).all()
    assert (centre[:, 1, :, 1] > centre[:, 0, :, 1]).all()
    assert (centre[:, :, 1, 2] > centre[:, :, 0, 2]).all()


def test_borders_follow_edges():
    """Equal halves would meet at column 36; the tissues meet at 32."""
    hu = np.where(np.indices((24, 60, 72))[2] < 32, 200.0, 0.0)
    labels = labels_of(as_ct(hu + np.random.default_rng(0).normal(0, 5, hu.shape)), 2)
    assert (labels[..., :32] == 1).mean() > 0.95
    assert (labels[..., 32:] == 2).mean() > 0.95


def test_where_there_is_next_to_no_body_everything_is_divided():
    hu = np.full((16, 20, 20), -1000.0, np.float32)
    assert body_mask(hu, SPACING).all()
    hu[8, 10, 10] = 0
    assert body_mask(hu, SPACING).all()


def test_a_crop_within_the_body_is_divided_wholly():
    hu = np.random.default_rng(0).normal(40, 10, (10, 20, 20))
    assert (labels_of(as_ct(hu), 4) > 0).all()


def test_they_are_found_again_in_a_dataset_by_their_names():
    dataset = small_dataset()
    parts = supervoxel_regions(8, first_value=3)
    assert supervoxel_values(small_dataset(regions=(*dataset.regions, *parts[::-1]))) == tuple(range(3, 11))
    assert supervoxel_values(dataset) == ()
    assert supervoxel_values(small_dataset(regions=parts[:7])) == ()


@pytest.mark.data
def test_a_real_abdomen_is_divided(real_data):
    ct = to_canonical(read_image(real_data / "totalsegmentator_example" / "example_ct_sm.nii.gz"))
    labels, hu = labels_of(ct, 12), sitk.GetArrayFromImage(ct)
    assert (labels[hu > 0] > 0).mean() > 0.98
    sizes = np.bincount(labels.ravel())[1:]
    assert (sizes.size, sizes.min() > 0.5 * sizes.mean()) == (12, True)
