"""Finished cases are kept, changed ones made anew, killed runs gone on with, to the same bytes."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset_conversion.dicom import command
from reactkd_auto.dataset_conversion.dicom.convert import convert_dicom
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import read_image
from tests.dataset_conversion.dicom.studies import PATIENTS, convert, ct_of, values, write_labels
from tests.dicom_writing import write_series
from tests.pipeline import SCRIPTS


def test_a_second_call_keeps_finished_cases_and_makes_changed_ones_anew(tree: Path, labels: Path) -> None:
    folder = convert(tree, labels).folder
    paths = sorted((folder / "imagesTr").iterdir())
    before = {p: p.stat().st_mtime_ns for p in paths}
    (folder / "imagesTr/case_0003_0001.nii.gz").unlink()
    (folder / "regionsTr/case_0004.nii.gz").unlink()
    write_series(tree / "disc1/A1/deep/er/S1", ct_of(PATIENTS[1], 77))
    (folder / "imagesTr" / f".tmp{os.getpid()}9999_x.nii.gz").write_text("left by a killed process")
    assert convert(tree, labels).failures == {}
    kept = {p.name for p in paths if p.stat().st_mtime_ns == before[p]}
    assert kept == {"case_0001_0000.nii.gz", "case_0001_0001.nii.gz"}
    assert (folder / "regionsTr/case_0004.nii.gz").exists()
    image = read_image(folder / "imagesTr/case_0002_0000.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values(77))
    assert verify_dataset(folder) == []


def test_a_case_that_left_the_table_leaves_the_dataset(tree: Path, labels: Path) -> None:
    convert(tree, labels)
    write_labels(labels, {PATIENTS[0]: "low", PATIENTS[1]: "high", PATIENTS[2]: "low"})
    folder = convert(tree, labels).folder
    assert not list(folder.rglob("case_0004*"))


def test_other_options_need_another_dataset(tree: Path, labels: Path) -> None:
    folder = convert(tree, labels).folder
    before = (folder / "conversion.json").read_bytes()
    asked = r"asked for organ none, lesion Liver, expected organ liver, lesion GTV\*, with which its cases were made"
    with pytest.raises(UserError, match=asked + "; give another --id, or delete the folder"):
        convert(tree, labels, lesion=["Liver"], organ=[])
    assert (folder / "conversion.json").read_bytes() == before


def test_options_may_change_until_a_case_is_made(tree: Path, labels: Path) -> None:
    missed = convert(tree, labels, ct="misspelt")
    assert len(missed.failures) == missed.cases
    found = convert(tree, labels, lesion=["Liver"], organ=[])
    assert found.failures == {}
    assert found.folder == missed.folder
    assert convert(tree, labels, lesion=["Liver"], organ=[]).failures == {}
    assert verify_dataset(found.folder) == []


def test_a_killed_conversion_goes_on_to_the_same_bytes(tree: Path, labels: Path) -> None:
    for seed in range(20):
        write_series(tree / "more" / str(seed), ct_of(f"more{seed}", 100 + seed))
    rows = {**dict(zip(PATIENTS, "abab", strict=True)), **{f"more{s}": "ab"[s % 2] for s in range(20)}}
    write_labels(labels, rows)
    whole = convert(tree, labels).folder
    arguments = ["-i", str(tree), "-l", str(labels), "-w", str(tree.parent / "killed"), "--name", "Cohort", "--id", "3"]
    arguments += ["--lesion", "GTV*", "--organ", "liver", "--workers", "1", "--quiet"]
    process = subprocess.Popen([SCRIPTS / "reactkd_convert_dicom", *arguments])
    folder = tree.parent / "killed/raw" / whole.name
    while not (folder / "conversion/case_0003.json").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "dataset.json").exists()
    assert command.main(arguments) == 0
    for name in ("imagesTr", "regionsTr", "labelsTr.csv", "dataset.json"):
        paths = [whole / name, *(whole / name).glob("*")] if (whole / name).is_dir() else [whole / name]
        for path in paths:
            other = folder / path.relative_to(whole)
            assert path.is_dir() or path.read_bytes() == other.read_bytes()
    assert len(list((folder / "imagesTr").glob("*"))) == len(list((whole / "imagesTr").glob("*")))


def test_two_processes_write_the_same_bytes_as_one(tree: Path, labels: Path, tmp_path: Path) -> None:
    one = convert(tree, labels).folder
    two = convert_dicom(
        tree, labels, "Cohort", workspace=tmp_path / "two", lesion=["GTV*"], organ=["liver"], workers=2, quiet=True
    ).folder
    for path in one.rglob("*.gz"):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
