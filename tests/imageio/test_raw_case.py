"""A raw case: present channels and regions in one orientation, or the first fault."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import Channel, Dataset, Region
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import list_cases, load_case, same_grid, write_image
from reactkd_auto.verification import verify_case

DATASET = Dataset(
    name="Small",
    channels=(Channel("CT", "ct"), Channel("T1", "mr"), Channel("FDG", "pet_suv")),
    classes=("low", "high"),
    regions=(Region("lesion", 1, "lesion"),),
)


def image(low: float, high: float, seed: int = 0) -> sitk.Image:
    return sitk.GetImageFromArray(np.random.default_rng(seed).uniform(low, high, (5, 6, 7)).astype(np.float32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mask = np.zeros((5, 6, 7), np.uint8)
    mask[2, 3, 4] = 1
    write_image(tmp_path / "imagesTr" / "a_0000.nii.gz", image(-1000, 500))
    write_image(tmp_path / "imagesTr" / "a_0002.nii.gz", image(0, 9))
    write_image(tmp_path / "regionsTr" / "a.nii.gz", sitk.GetImageFromArray(mask))
    write_image(tmp_path / "imagesTr" / "b_0000.nii.gz", image(-1000, 500, seed=1))
    return tmp_path


def test_present_channels_come_with_their_index_and_missing_ones_are_absent(folder: Path) -> None:
    case = load_case(folder, DATASET, "a")
    assert sorted(case.images) == [0, 2]
    assert all(i.GetPixelID() == sitk.sitkFloat32 for i in case.images.values())
    assert load_case(folder, DATASET, "b").regions is None


def test_regions_stored_in_another_orientation_than_the_ct_meet_it(folder: Path) -> None:
    write_image(folder / "imagesTr" / "a_0000.nii.gz", sitk.Flip(image(-1000, 500), (True, False, False), False))
    case = load_case(folder, DATASET, "a")
    assert case.regions is not None
    assert same_grid(case.images[0], case.regions)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(case.images[0]), sitk.GetArrayFromImage(image(-1000, 500)))


def test_cases_are_listed_by_their_base_image(folder: Path) -> None:
    write_image(folder / "imagesTr" / "c_0001.nii.gz", image(0, 9))
    (folder / "imagesTr" / ".tmp1_d_0000.nii.gz").touch()
    assert list_cases(folder, DATASET) == ["a", "b"]
    assert list_cases(folder, DATASET, images="imagesTs") == []


def test_all_faults_of_a_case_are_listed_and_loading_raises_the_first(folder: Path) -> None:
    write_image(folder / "imagesTr" / "a_0000.nii.gz", image(0, 1))
    write_image(folder / "imagesTr" / "a_0002.nii.gz", image(0, 9000))
    files = [Path(p.file).name for p in verify_case(folder, DATASET, "a")]
    assert files == ["a_0000.nii.gz", "a_0002.nii.gz"]
    with pytest.raises(UserError, match=r"a_0000\.nii\.gz.*normalised"):
        load_case(folder, DATASET, "a")


def test_a_missing_base_image_is_a_fault(folder: Path) -> None:
    with pytest.raises(UserError, match=r"z_0000\.nii\.gz.*no such file"):
        load_case(folder, DATASET, "z")
