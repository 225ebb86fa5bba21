"""Slices are shown the radiological way, whatever the storage, and cut to the body without the couch."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dose.volumes import axial_stack
from reactkd_auto.drawing.windows import LUNG, SOFT_TISSUE
from reactkd_auto.planning.degrade.display import body_view, choose_window
from reactkd_auto.planning.degrade.inputs import find_cts
from reactkd_auto.planning.degrade.options import dose_name
from reactkd_auto.planning.degrade.regions import body_of, choose_corners, choose_slice
from tests.cts import SPACING, image_of, trunk, write_ct


def shown(image: sitk.Image) -> np.ndarray:
    stack = axial_stack(image)
    plane = stack.array[0]
    return body_view(plane, stack.spacing[1:], image.GetDirection(), stack.order).show(plane)


def asymmetric() -> np.ndarray:
    hu = trunk(1)
    hu[:, 60:70, 90:100] = 1500
    return np.repeat(hu, 3, axis=0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(False, False, False), (True, True, False), (True, False, True)])
def test_any_storage_shows_the_same_picture(order, flips):
    upright = shown(image_of(asymmetric()))
    assert np.argwhere(upright == 1500).mean(axis=0)[1] > 0.6 * upright.shape[1]  # the patient's left is on the right
    assert np.array_equal(shown(sitk.Flip(sitk.PermuteAxes(image_of(asymmetric()), order), flips)), upright)


def test_the_couch_is_no_body_and_the_lungs_are():
    hu = trunk(1)[0]
    couch = hu.copy()
    couch[120:123, 10:118] = 100
    assert np.array_equal(body_of(couch), body_of(hu))
    assert body_of(hu)[64, 64 - 30]
    assert not body_of(hu)[2, 2]
    assert body_of(np.full((40, 40), -1000)).all()
    assert body_of(np.full((40, 40), -3024)).all()


def test_windows_suit_what_is_shown():
    assert choose_window(trunk(1)[0]) == SOFT_TISSUE
    assert choose_window(np.full((40, 40), -800)) == LUNG


def test_regions_are_apart_and_lie_where_tissue_is_homogeneous():
    volume = trunk(5, 256, pixel=0.85)
    stack = axial_stack(volume, (4.0, 0.85, 0.85))
    volume[1:] = np.where(np.indices(volume.shape[1:]).sum(0) % 16 < 8, 300, -300)
    assert choose_slice(stack) == 0
    corners = choose_corners(stack, 0)
    assert len(corners) == 4
    for i, (r, c) in enumerate(corners):
        tissue = volume[0, r : r + 32, c : c + 32]
        assert np.mean((tissue > -60) & (tissue < 140)) > 0.97
        assert all(np.hypot(r - y, c - x) >= 32 for y, x in corners[:i])


@pytest.mark.parametrize(
    ("dose", "name"), [(1, "dose100"), (0.5, "dose050"), (0.05, "dose005"), (0.025, "dose002p5"), (0.1, "dose010")]
)
def test_doses_are_named_in_per_cent(dose, name):
    assert dose_name(dose) == name


def test_a_ct_named_after_nothing_safe_gets_a_name(tmp_path):
    (ct,) = find_cts(write_ct(tmp_path / "..é ü.nii.gz", trunk(1), spacing=SPACING), tmp_path / "out")
    assert ct.case == "___"
