"""Structure sets and segmentations become regions by the patterns of the options."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.imageio import read_image
from tests.dataset_conversion.dicom.studies import PATIENTS, Options, convert, ct_of, pet_of, square, write_labels
from tests.dicom_structures import write_segmentation, write_structures
from tests.dicom_writing import write_series


@pytest.mark.parametrize("refers", [True, False])
def test_structures_drawn_on_the_ct_go_before_those_of_its_frame(tree: Path, labels: Path, refers: bool) -> None:
    """Where those on the CT say so; else a second set of the same region is one too many."""
    ct, pet = ct_of(PATIENTS[0]), pet_of(PATIENTS[0])
    drawn = {"GTV": [square(33.0), square(36.0)]}
    write_structures(tree / "disc0/A0/RS/rs.dcm", ct[0], drawn, refers=refers)
    write_structures(tree / "disc0/A0/RS/on_pet.dcm", pet[0], {"GTV": [square(33.0)]}, series="on PET")
    failures = convert(tree, labels).failures
    assert failures == {} if refers else "region GTV also in" in failures["case_0001"]


def test_structures_that_name_no_series_are_taken_by_their_frame(tree: Path, labels: Path) -> None:
    drawn = {"GTV": [square(33.0), square(36.0)]}
    write_structures(tree / "disc0/A0/RS/rs.dcm", ct_of(PATIENTS[0])[0], drawn, refers=False)
    folder = convert(tree, labels).folder
    assert (folder / "regionsTr/case_0001.nii.gz").exists()


def test_segmentations_become_regions_and_lesions_cover_organs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    liver, mass = rng.random((6, 8, 10)) < 0.5, rng.random((6, 8, 10)) < 0.2
    for patient in ("P1", "P2", "P3", "P4"):
        ct = ct_of(patient, ord(patient[1]))
        write_series(tmp_path / "tree" / patient / "ct", ct)
        write_segmentation(tmp_path / "tree" / patient / "seg.dcm", ct, {"Liver": liver, "Mass": mass})
    labels = write_labels(tmp_path / "labels.csv", dict(zip(("P1", "P2", "P3", "P4"), "abab", strict=True)))
    outcome = convert(tmp_path / "tree", labels, lesion=["tumour=mass"], organ=["liver"])
    regions = sitk.GetArrayFromImage(read_image(outcome.folder / "regionsTr/case_0001.nii.gz"))
    np.testing.assert_array_equal(regions, np.where(mass, 2, liver))
    assert verify_dataset(outcome.folder) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lesion": ["tumor*"], "organ": []}, "no drawn structure that fits tumor* among GTV_1, Liver"),
        ({"lesion": ["GTV*"], "organ": ["x=gtv_?"]}, "'GTV_1', which fits x and GTV"),
    ],
)
def test_structures_that_fit_none_or_two_regions_are_refused(
    tree: Path, labels: Path, options: Options, words: str
) -> None:
    assert words in convert(tree, labels, **options).failures["case_0001"]


def test_a_region_drawn_twice_is_refused(tree: Path, labels: Path) -> None:
    slices = ct_of(PATIENTS[0], 0)
    write_structures(tree / "disc0/A0/RS/rs2.dcm", slices[0], {"GTV": [square(36.0)]}, series="again")
    assert "region GTV also in rs.dcm" in convert(tree, labels).failures["case_0001"]
