"""A session's CT finds its place on the base CT, and one that does not belong there is refused."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.execution import single_threaded
from reactkd_auto.fingerprint import RegistrationQuality
from reactkd_auto.registration.moving import bring
from reactkd_auto.registration.session import SessionImages, Solution, refusal, register
from reactkd_auto.registration.solver import smallest_jacobian
from tests.registration.phantoms import distances, imaged, in_tumour, rigid, tissue, uptake

BASE = SessionImages(imaged(tissue, noise=15, seed=1), None)
MOVED = rigid((4.0, -6.0, 8.0), (14.0, -9.0, 11.0))
THIRD_MM = 4 / 3
"""Of a voxel."""
GOOD = RegistrationQuality("frame", (0.0, 0.0, 0.0), 0.0, 1.0, 0.5, 0.8, 0.95, 0.6, 0.9)


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded():
        yield


def session(transform: sitk.Transform, **more) -> SessionImages:
    """The same body on another day: ``transform`` takes points of the base image to where the session shows them."""
    return SessionImages(imaged(tissue, transform=transform.GetInverse(), noise=15, seed=2, **more), None)


def marked(images: SessionImages, transform: sitk.Transform | None = None, **more) -> SessionImages:
    """With the tumour as its region."""
    region = imaged(lambda p: in_tumour(p).astype(float), transform=transform, **more)
    return dataclasses.replace(images, marked=sitk.GetArrayFromImage(region) > 0.5)


@pytest.fixture(scope="module")
def solved() -> Solution:
    with single_threaded():
        return register(BASE, session(MOVED), "rigid")


def test_a_known_rigid_move_is_found_within_a_fraction_of_a_voxel(solved):
    assert solved.refusal == ""
    assert distances(solved.transform, MOVED).max() < THIRD_MM
    assert solved.quality.rotation_degrees == pytest.approx(10.7, abs=0.8)
    assert solved.quality.information_after > 1.5 * solved.quality.information_before
    assert solved.quality.correlation > 0.9


def test_the_same_images_give_the_same_transform_bit_by_bit(solved):
    again = register(BASE, session(MOVED), "rigid")
    assert again.rigid.GetParameters() == solved.rigid.GetParameters()
    assert again.quality == solved.quality


def test_identical_images_stay_where_they_are():
    found = register(BASE, BASE, "rigid")
    assert found.refusal == ""
    assert distances(found.transform, sitk.Transform()).max() < 0.1
    assert found.quality.information_after >= found.quality.information_before


def test_frames_that_have_nothing_in_common_meet_by_their_regions_and_images():
    offset = (310.0, -200.0, 900.0)
    far = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.0, 0.0, 0.05, offset)
    found = register(marked(BASE), marked(session(far, offset=offset), far.GetInverse(), offset=offset), "rigid")
    assert found.refusal == ""
    assert distances(found.transform, far).max() < THIRD_MM
    assert found.quality.information_before == found.quality.dice_before == 0
    assert found.quality.dice_after > 0.9


def test_another_patient_is_refused():
    stranger = SessionImages(imaged(lambda p: tissue(p * np.array([1.3, 0.8, 1.1]), seed=5)), None)
    found = register(BASE, stranger, "rigid")
    assert "do not fit" in found.refusal


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"information_after": 0.495}, ""),  # interpolation
        ({"information_after": 0.4}, "mutual information fell from 0.50 to 0.40"),
        ({"dice_after": 0.5}, "Dice of the regions fell from 0.60 to 0.50"),
        ({"dice_before": 0.0, "dice_after": 0.0}, "do not meet"),
        ({"dice_before": None, "dice_after": None}, ""),
        ({"overlap": 0.3}, "covers only 30%"),
        ({"correlation": 0.4}, "correlation of their HU 0.40"),
    ],
)
def test_what_made_things_worse_is_refused_and_says_why(changes, why):
    sentence = refusal(dataclasses.replace(GOOD, **changes))
    assert (why in sentence) if why else sentence == ""


def bent() -> sitk.BSplineTransform:
    bspline = sitk.BSplineTransformInitializer(BASE.ct, [2, 2, 2], order=3)
    bspline.SetParameters(np.random.default_rng(3).normal(0, 7, len(bspline.GetParameters())).tolist())
    return bspline


def test_bsplines_follow_a_bent_body_without_folding_it():
    other = SessionImages(imaged(tissue, transform=bent(), noise=15, seed=2), None)
    stiff, soft = register(BASE, other, "rigid"), register(BASE, other, "rigid_bspline")
    assert soft.bspline is not None
    assert soft.quality.information_after > stiff.quality.information_after
    assert soft.quality.correlation > stiff.quality.correlation
    assert smallest_jacobian(soft.bspline, BASE.ct) > 0


def hot_spot(image: sitk.Image) -> np.ndarray:
    """Physical centre of the tumour's uptake."""
    array = sitk.GetArrayFromImage(image)
    z, y, x = (float(np.mean(i)) for i in np.nonzero(array > 3))
    return np.array(image.TransformContinuousIndexToPhysicalPoint([x, y, z]))


def moved_pet() -> sitk.Image:
    return imaged(uptake, transform=MOVED.GetInverse(), spacing=5.0)


def test_a_rigid_move_brings_a_channel_home_and_touches_no_voxel():
    pet = moved_pet()
    home = bring(pet, MOVED, None)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(home), sitk.GetArrayFromImage(pet))
    assert np.linalg.norm(hot_spot(pet) - hot_spot(imaged(uptake))) > 15
    assert np.linalg.norm(hot_spot(home) - hot_spot(imaged(uptake))) < 1


def test_a_bspline_that_bends_nothing_changes_nothing():
    pet = moved_pet()
    flat = sitk.BSplineTransformInitializer(BASE.ct, [2, 2, 2], order=3)
    plain, through = bring(pet, MOVED, None), bring(pet, MOVED, flat)
    np.testing.assert_allclose(sitk.GetArrayFromImage(through), sitk.GetArrayFromImage(plain), atol=1e-4)


def test_a_solution_is_the_bspline_then_the_rigid_move():
    solution = Solution(MOVED, bent(), GOOD, "")
    point = (10.0, 5.0, -8.0)
    assert solution.transform.TransformPoint(point) == pytest.approx(
        MOVED.TransformPoint(solution.bspline.TransformPoint(point))
    )
