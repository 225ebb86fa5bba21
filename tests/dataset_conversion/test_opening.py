import pytest

from reactkd_auto.dataset_conversion.opening import open_cohort
from reactkd_auto.errors import UserError


def test_the_same_settings_find_the_folder_again(tmp_path):
    folder = open_cohort(tmp_path, "D", 1, {"ct": None, "seed": 0})
    (folder / "imagesTr").mkdir()
    (folder / "imagesTr" / "a_0000.nii.gz").touch()
    assert open_cohort(tmp_path, "D", 1, {"ct": None, "seed": 0}) == folder


def test_a_folder_takes_new_settings_until_it_has_a_case(tmp_path):
    folder = open_cohort(tmp_path, "D", 1, {"ct": ["a"]})
    assert open_cohort(tmp_path, "D", 1, {"ct": None}) == folder
    (folder / "imagesTr").mkdir()
    (folder / "imagesTr" / "a_0000.nii.gz").touch()
    with pytest.raises(UserError, match="asked for ct b, expected ct none, with which its cases were made"):
        open_cohort(tmp_path, "D", 1, {"ct": ["b"]})


def test_files_of_which_nothing_is_recorded_are_left_alone(tmp_path):
    (tmp_path / "raw" / "Dataset001_D").mkdir(parents=True)
    (tmp_path / "raw" / "Dataset001_D" / "labelsTr.csv").write_text("case,label\n")
    with pytest.raises(UserError, match=r"found files but no conversion\.json"):
        open_cohort(tmp_path, "D", 1, {})
