"""A channel that is out of step with its CT is found, with how far and which way; others are left in peace."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from reactkd_auto.dataset import read_dataset
from reactkd_auto.dataset_conversion.sts import convert_sts
from reactkd_auto.fingerprint import Alignment
from reactkd_auto.imageio import list_cases, load_case
from reactkd_auto.registration.alignment import is_misaligned, measure_alignment, misalignment
from reactkd_auto.registration.window import marked_voxels
from tests.registration.phantoms import imaged, tissue, uptake

CT = imaged(tissue, noise=15)
OUT = Alignment((12.0, -5.0, 0.2), 3.0, 0.6, 1.25, 0.05)


def pet_moved(z: float, y: float, x: float) -> sitk.Image:
    """The patient lay this far to the head, the back and the left of where the CT has them."""
    return imaged(uptake, transform=sitk.TranslationTransform(3, (-x, -y, -z)), spacing=5.0, noise=0.05)


def test_a_pet_in_its_place_is_left_in_peace():
    found = measure_alignment(CT, pet_moved(0, 0, 0), "pet_suv")
    assert np.linalg.norm(found.shift_mm) < 2
    assert not is_misaligned(found)


@settings(max_examples=5, deadline=None)
@given(st.tuples(*[st.integers(-24, 24)] * 3).filter(lambda s: np.linalg.norm(s) > 13))
def test_the_move_back_is_found_whichever_way_the_patient_went(shift):
    found = measure_alignment(CT, pet_moved(*shift), "pet_suv")
    np.testing.assert_allclose(found.shift_mm, -np.array(shift, float), atol=2.5)
    assert is_misaligned(found)


def test_an_mr_tells_as_well_as_a_pet():
    transform = sitk.TranslationTransform(3, (0.0, 0.0, 16.0))
    mr = imaged(lambda p: np.where(tissue(p) < -500, 0.0, np.where(tissue(p) < 0, 900.0, 400.0)), transform=transform)
    found = measure_alignment(CT, mr, "mr")
    assert found.shift_mm == pytest.approx((16, 0, 0), abs=2.5)
    assert is_misaligned(found)


def test_too_little_or_nothing_to_compare_is_no_measurement():
    assert measure_alignment(CT[:8, :8, :8], pet_moved(0, 0, 0), "pet_suv") is None
    assert measure_alignment(CT, imaged(lambda p: np.ones(p.shape[:-1])), "pet_suv") is None


@pytest.mark.parametrize("changes", [{"shift_voxels": 1.9}, {"gain": 1.14}, {"halves": -0.01}])
def test_a_small_move_a_small_gain_or_half_an_image_is_not_enough(changes):
    assert is_misaligned(OUT)
    assert not is_misaligned(dataclasses.replace(OUT, **changes))


def test_the_sentence_says_how_far_and_which_way():
    sentence = misalignment("FDG", OUT)
    assert sentence == (
        "FDG does not lie on the CT: moved by 13 mm (12 mm to the head, 5 mm to the front), "
        "their mutual information rises by 25 %."
    )


@pytest.mark.slow
def test_of_the_sarcoma_pets_one_is_out_of_step(real_data, tmp_path):
    folder = convert_sts(real_data / "sts_petct", workspace=tmp_path, quiet=True)
    assert out_of_step(folder, list_cases(folder, read_dataset(folder))) == {
        "FDG": ["STS_019"],
        "T1": ["STS_001", "STS_019"],
    }


def test_a_real_case_out_of_step_is_told_from_one_that_is_not(real_data, tmp_path):
    folder = convert_sts(real_data / "sts_petct", workspace=tmp_path, quiet=True)
    assert out_of_step(folder, ["STS_002", "STS_019"]) == {"FDG": ["STS_019"], "T1": ["STS_019"]}


def out_of_step(folder: Path, cases: list[str]) -> dict[str, list[str]]:
    """Cases by the channel that does not lie on their CT."""
    dataset, flagged = read_dataset(folder), {"FDG": [], "T1": []}
    for case in cases:
        raw = load_case(folder, dataset, case)
        for index in sorted(set(raw.images) - {0}):
            channel = dataset.channels[index]
            marked = marked_voxels(raw.regions, dataset)
            if is_misaligned(measure_alignment(raw.images[0], raw.images[index], channel.role, marked=marked)):
                flagged[channel.name].append(case)
    return flagged
