"""`reactkd_make_regions`: maps for cases that lack one, drawn ones kept, dataset.json in step, bad cases named."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import Channel, Region, read_dataset
from reactkd_auto.dataset_conversion.region_making.command import main
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.imageio import write_image
from tests.dataset_conversion.region_making.maskless import (
    DATASET,
    NAME,
    as_image,
    draw,
    labels_of,
    trunk,
    with_regions,
    write_cohort,
)
from tests.dataset_conversion.region_making.running import maps, run
from tests.dataset_conversion.region_making.stand_in import calls_of, install
from tests.pipeline import SCRIPTS

LIVER, VESSEL = Region("liver", 1, "organ"), Region("vessel", 3, "context")


@pytest.mark.usefixtures("without_tool")
def test_without_the_tool_every_case_gets_supervoxels_and_the_command_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder) == 0
    said = capsys.readouterr().err
    assert "supervoxels: no command TotalSegmentator on PATH" in said
    assert "5 region maps made, 0 kept" in said
    assert [(r.name, r.value, r.role) for r in read_dataset(folder).regions] == [
        (f"supervoxel_{i}", i, "context") for i in range(1, 9)
    ]
    for part, case, seed in (("Tr", "a0", 0), ("Tr", "a3", 3), ("Ts", "t0", 100)):
        labels = labels_of(folder, part, case)
        body = trunk(seed) > -500
        assert set(np.unique(labels)) == set(range(9))
        assert (labels[body] > 0).mean() > 0.95
        assert (labels[~body] > 0).mean() < 0.05
    assert verify_dataset(folder) == []


def test_supervoxels_of_a_turned_ct_are_those_of_the_same_ct_turned(folder: Path) -> None:
    assert run(folder, "--using", "supervoxels") == 0
    straight = labels_of(folder, "Tr", "a0")
    write_image(folder / "imagesTr" / "a0_0000.nii.gz", sitk.DICOMOrient(as_image(trunk(0)), "RAS"))
    assert run(folder, "--using", "supervoxels") == 0
    path = folder / "regionsTr" / "a0.nii.gz"
    back = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), straight)
    assert verify_dataset(folder) == []


@pytest.mark.usefixtures("calls")
def test_drawn_maps_are_kept_unless_they_are_to_be_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_regions(folder, LIVER, VESSEL)
    path = draw(folder, "a1", 1)
    before = path.read_bytes()
    assert run(folder, "--organs", "liver", "spleen") == 0
    assert "4 region maps made, 1 kept (1 drawn, 0 made before)" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert [(r.name, r.value) for r in read_dataset(folder).regions] == [("liver", 1), ("vessel", 3), ("spleen", 2)]
    assert run(folder, "--organs", "liver", "spleen", "--overwrite") == 0
    assert "1 region maps made, 4 kept (0 drawn, 4 made before)" in capsys.readouterr().err
    hu = trunk(1)
    np.testing.assert_array_equal(labels_of(folder, "Tr", "a1") == 2, (hu >= 90) & (hu < 120))


def test_a_second_call_makes_only_what_is_missing_or_outdated(folder: Path, calls: Path) -> None:
    assert run(folder, "--organs", "liver") == 0
    before = {p: p.stat().st_mtime_ns for p in folder.glob("regionsT?/*")}
    assert run(folder, "--organs", "liver") == 0
    assert len(calls_of(calls)) == 5
    (folder / "regionsTr" / "a0.nii.gz").unlink()
    write_image(folder / "imagesTr" / "a1_0000.nii.gz", as_image(trunk(77)))
    edited = folder / "regionsTr" / "a2.nii.gz"
    write_image(edited, sitk.ReadImage(str(edited)) * 0)
    by_hand = edited.read_bytes()
    assert run(folder, "--organs", "liver") == 0
    assert [Path(c[1]).name for c in calls_of(calls)[5:]] == ["a0_0000.nii.gz", "a1_0000.nii.gz"]
    assert edited.read_bytes() == by_hand, "a map that was mended by hand counts as drawn"
    kept = {p.name for p, at in before.items() if p.stat().st_mtime_ns == at}
    assert kept == {"a3.nii.gz", "t0.nii.gz"}
    assert run(folder, "--organs", "liver", "--fast") == 0
    assert len(calls_of(calls)) == 7 + 4, "other options make other maps"


@pytest.mark.usefixtures("calls")
def test_a_bad_case_is_named_and_the_others_are_finished(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path / "bin", fails=["a1"])
    cut = folder / "imagesTr" / "a0_0000.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-200])
    write_image(folder / "imagesTr" / "a2_0000.nii.gz", as_image(np.where(trunk(2) > 50, 20, trunk(2))))
    assert run(folder, "--organs", "liver") == 3
    lines = capsys.readouterr().err.splitlines()
    assert "3 of 5 cases could not be made:" in lines
    told = {line.split(":")[0].strip(): line for line in lines if line.startswith("  imagesTr")}
    assert "cut-off or damaged" in told["imagesTr/a0"]
    assert "TotalSegmentator failed (exit code 1): RuntimeError: CUDA out of memory." in told["imagesTr/a1"]
    assert "TotalSegmentator found no liver, expected an organ" in told["imagesTr/a2"]
    assert sorted(maps(folder)) == ["regionsTr/a3.nii.gz", "regionsTs/t0.nii.gz"]
    install(tmp_path / "bin")
    assert run(folder, "--organs", "liver") == 3
    assert "2 of 5 cases could not be made:" in capsys.readouterr().err


@pytest.mark.usefixtures("without_tool")
def test_a_base_that_is_no_ct_and_a_cohort_without_images_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = dataclasses.replace(DATASET, channels=(Channel("shape", "binary_mask"),))
    folder = write_cohort(tmp_path, cases=0, tests=0, dataset=shape)
    assert run(folder) == 2
    assert "the base is a binary_mask, expected a CT" in capsys.readouterr().err
    write_cohort(tmp_path, cases=0, tests=0)
    assert run(folder) == 2
    assert "no CT found" in capsys.readouterr().err


def test_a_killed_run_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "raw" / NAME
    shutil.copytree(folder, whole)
    assert main(["-w", str(tmp_path / "whole"), "--using", "supervoxels", "--workers", "1", "--quiet"]) == 0
    arguments = ["-w", str(tmp_path), "--using", "supervoxels", "--workers", "1", "--quiet"]
    process = subprocess.Popen([SCRIPTS / "reactkd_make_regions", *arguments])
    while not maps(folder) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    half = folder / "regionsTr" / f".tmp{os.getpid()}_a9.nii.gz"
    half.write_bytes(b"left by a killed process")
    kept = {p: p.stat().st_mtime_ns for p in (folder / "regionsTr").glob("a*")}
    assert main(arguments) == 0
    assert maps(folder) == maps(whole)
    assert all(p.stat().st_mtime_ns == at for p, at in kept.items())
    records = [json.loads(p.read_text()) for p in folder.glob("made_regions/*/*.json")]
    assert [r["using"] for r in records] == ["supervoxels"] * 5
    assert verify_dataset(folder) == []


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--using", "supervoxels", "--organs", "liver", "--fast"), "--organs: is of totalsegmentator"),
        (("--using", "supervoxels", "--fast"), "--fast: is of totalsegmentator"),
        (("--using", "supervoxels", "--timeout_minutes", 3), "--timeout_minutes: is of totalsegmentator"),
        (("--using", "supervoxels", "--device", "cpu"), "--device: is of totalsegmentator"),
        (("--organs", "liver", "--supervoxels", 4), "--supervoxels: is of supervoxels"),
    ],
)
def test_options_of_the_other_method_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], sentence: str
) -> None:
    before = maps(folder)
    assert run(folder, *options) == 2
    assert sentence in capsys.readouterr().err
    assert maps(folder) == before


@pytest.mark.usefixtures("without_tool")
def test_fast_is_no_option_of_supervoxels_that_stand_in_for_the_tool(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--fast") == 2
    assert "--fast: is of totalsegmentator, found supervoxels to be made" in capsys.readouterr().err
