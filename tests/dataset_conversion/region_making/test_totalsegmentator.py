"""TotalSegmentator as an external command: options, masks, failures and time-outs (with a stand-in)."""

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import read_dataset
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.imageio import write_image
from tests.dataset_conversion.region_making.maskless import DATASET, as_image, labels_of, trunk, write_cohort
from tests.dataset_conversion.region_making.running import maps, run
from tests.dataset_conversion.region_making.stand_in import calls_of, install


def test_organs_by_the_tool_join_classes_and_lie_on_the_ct(
    folder: Path, calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--organs", "liver", "kidneys=kidney_left+kidney_right", "--context", "spleen") == 0
    assert "totalsegmentator: its command is installed" in capsys.readouterr().err
    assert [(r.name, r.value, r.role) for r in read_dataset(folder).regions] == [
        ("spleen", 1, "context"),
        ("liver", 2, "organ"),
        ("kidneys", 3, "organ"),
    ]
    hu = trunk(2)
    kidneys = (hu >= 120) & (hu < 180)
    expected = np.select([kidneys, (hu >= 60) & (hu < 90), (hu >= 90) & (hu < 120)], [3, 2, 1])
    np.testing.assert_array_equal(labels_of(folder, "Tr", "a2"), expected)
    assert kidneys.any()
    assert verify_dataset(folder) == []
    first = calls_of(calls)[0]
    assert first[:2] == ["-i", str(folder / "imagesTr" / "a0_0000.nii.gz")]
    wanted = ["--roi_subset", "spleen", "liver", "kidney_left", "kidney_right", "--device", "gpu"]
    assert first[4:] == wanted


def test_options_reach_the_tool(folder: Path, calls: Path) -> None:
    assert run(folder, "--organs", "liver", "--fast", "--device", "cpu") == 0
    assert calls_of(calls)[0][-3:] == ["--device", "cpu", "--fast"]
    assert len(calls_of(calls)) == 5


def test_a_ct_of_another_format_and_orientation_is_handed_over_as_nifti(tmp_path: Path, calls: Path) -> None:
    folder = write_cohort(tmp_path, cases=1, tests=0, dataset=dataclasses.replace(DATASET, file_ending=".nrrd"))
    turned = sitk.DICOMOrient(as_image(trunk(0)), "RAS")
    write_image(folder / "imagesTr" / "a0_0000.nrrd", turned)
    assert run(folder, "--organs", "liver") == 0
    assert calls_of(calls)[0][1].endswith("ct.nii.gz")
    hu = sitk.GetArrayFromImage(turned)
    np.testing.assert_array_equal(labels_of(folder, "Tr", "a0", ".nrrd"), (hu >= 60) & (hu < 90))


@pytest.mark.parametrize(
    ("settings", "organs", "words"),
    [
        ({"fails": ["a", "t"]}, ["liver"], "exit code 1"),
        ({}, ["livr"], "exit code 1): KeyError: 'livr'"),
        ({"forgets": ["liver"]}, ["liver"], "wrote no liver.nii.gz"),
    ],
)
@pytest.mark.usefixtures("calls")
def test_where_no_case_can_be_made_nothing_is_changed(
    folder: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, object], organs: list[str], words: str
) -> None:
    install(folder.parents[1] / "bin", **settings)
    before = (folder / "dataset.json").read_bytes()
    assert run(folder, "--organs", *organs) == 2
    said = capsys.readouterr().err
    assert "5 of 5 cases could not be made" in said
    assert said.count(words) == 5
    assert (folder / "dataset.json").read_bytes() == before
    assert maps(folder) == {}


@pytest.mark.usefixtures("calls")
def test_a_mask_on_another_grid_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--organs", "liver", shift_mm=3) == 2
    assert "wrote liver.nii.gz on another grid than the CT's" in capsys.readouterr().err


@pytest.mark.usefixtures("calls")
def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_cohort(tmp_path, cases=1, tests=0)
    install(tmp_path / "bin", hangs=["a0"])
    assert run(folder, "--organs", "liver", "--timeout_minutes", "0.03") == 2
    assert "a0_0000.nii.gz: TotalSegmentator was not done after 0.03 minutes" in capsys.readouterr().err
    assert _ended(int((tmp_path / "bin" / "child").read_text()))


def _ended(process: int) -> bool:
    for _ in range(100):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False
