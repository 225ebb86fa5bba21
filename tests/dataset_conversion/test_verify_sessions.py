"""`reactkd_verify_dataset` on cohorts of two sessions, and on channels that are out of step with their CT."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.imageio import write_image
from tests.registration.cohort import HALF_MM, write_cohort
from tests.registration.phantoms import imaged, uptake

SESSION = "sessionsTr/ACETATE"


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("workspace"), 4)


def test_a_clean_cohort_of_two_sessions_has_no_problems(clean):
    assert verify_dataset(clean) == []


def shifted_regions(path: Path) -> None:
    write_image(path, sitk.GetImageFromArray(np.zeros((5, 5, 5), np.uint8)))


def pet_two_slices_off(path: Path) -> None:
    write_image(
        path, imaged(uptake, transform=sitk.TranslationTransform(3, (0.0, 0.0, 14.0)), spacing=5, half_mm=HALF_MM)
    )


FAULTS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing CT": (f"{SESSION}/case_1_ct.nii.gz", Path.unlink, "no such file"),
    "CT that is none": (
        f"{SESSION}/case_1_ct.nii.gz",
        lambda p: write_image(p, imaged(uptake, half_mm=HALF_MM)),
        "look normalised",
    ),
    "regions off the CT": (f"{SESSION}/case_1_regions.nii.gz", shifted_regions, "another grid"),
    "case without images": (f"{SESSION}/case_9_ct.nii.gz", Path.touch, "belongs to no case"),
    "unknown session": ("sessionsTr/FLUORIDE", Path.mkdir, "belongs to no session"),
    "channel out of step": ("imagesTr/case_1_0001.nii.gz", pet_two_slices_off, "does not lie on the CT"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_one_row_that_names_the_file(name, clean, tmp_path):
    raw = shutil.copytree(clean, tmp_path / clean.name)
    file, spoil, found = FAULTS[name]
    spoil(raw / file)
    (problem,) = verify_dataset(raw)
    assert problem.file == file
    assert found in problem.found
