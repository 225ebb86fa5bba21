"""`reactkd_verify_dataset` names every fault of a cohort in one run, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.dataset_conversion.verify_command import main
from reactkd_auto.imageio import write_image
from tests.dataset_conversion.cohorts import as_image, ct, pet, regions, write_cohort


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    return write_cohort(tmp_path / "raw" / "Dataset001_Small", cases=6)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def scaled(array: np.ndarray, factor: float, offset: float = 0.0) -> sitk.Image:
    return as_image((array * factor + offset).astype(np.float32))


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "unknown class": (lambda f: replace(f / "labelsTr.csv", "low", "medium"), "labelsTr.csv", "medium"),
    "duplicate case": (lambda f: replace(f / "labelsTr.csv", "a1,", "a0,"), "labelsTr.csv", "once more"),
    "unsafe case": (lambda f: replace(f / "labelsTr.csv", "a1,", "../a1,"), "labelsTr.csv", "../a1"),
    "patient in both parts": (
        lambda f: replace(f / "labelsTs.csv", "patient_t0", "patient_a0"),
        "labelsTs.csv",
        "patient_a0",
    ),
    "no labels": (lambda f: (f / "labelsTr.csv").unlink(), "labelsTr.csv", "no such file"),
    "labels without rows": (
        lambda f: (f / "labelsTr.csv").write_text("case,patient,label\n"),
        "labelsTr.csv",
        "no rows",
    ),
    "labels without column": (lambda f: replace(f / "labelsTr.csv", "label", "class"), "labelsTr.csv", "columns"),
    "one patient of a class": (lambda f: replace(f / "labelsTr.csv", ",high", ","), "labelsTr.csv", "0 patients"),
    "missing base": (lambda f: (f / "imagesTr/a0_0000.nii.gz").unlink(), "imagesTr/a0_0000.nii.gz", "no such file"),
    "image without row": (lambda f: replace(f / "labelsTr.csv", "a2,patient_a2,low\n", ""), "a2_0000", "without a row"),
    "orphan image": (lambda f: write_image(f / "imagesTr/a0_0002.nii.gz", as_image(ct(9))), "a0_0002", "no case"),
    "orphan region map": (
        lambda f: write_image(f / "regionsTr/b.nii.gz", as_image(regions())),
        "regionsTr/b",
        "without",
    ),
    "stray file": (lambda f: (f / "imagesTr/notes.txt").write_text("x"), "notes.txt", "no case"),
    "cut off": (lambda f: cut_off(f / "imagesTr/a0_0000.nii.gz"), "a0_0000", "cut"),
    "NaN": (lambda f: write_image(f / "imagesTr/a0_0000.nii.gz", scaled(ct(0) * np.nan, 1)), "a0_0000", "NaN"),
    "unshifted CT": (
        lambda f: write_image(f / "imagesTr/a0_0000.nii.gz", scaled(ct(0), 2, 2024)),
        "a0_0000",
        "intercept",
    ),
    "Bq/ml": (lambda f: write_image(f / "imagesTr/a0_0001.nii.gz", scaled(pet(0), 5000)), "a0_0001", "Bq/ml"),
    "channel elsewhere": (
        lambda f: write_image(f / "imagesTr/a0_0001.nii.gz", as_image(pet(0), shift=900)),
        "a0_0001",
        "covers 0 %",
    ),
    "regions off the grid": (
        lambda f: write_image(f / "regionsTr/a0.nii.gz", as_image(regions(), shift=1)),
        "regionsTr/a0",
        "region map of 8×8×6",
    ),
    "unknown region": (
        lambda f: write_image(f / "regionsTr/a0.nii.gz", as_image(regions() * 4)),
        "regionsTr/a0",
        "unknown values 4, 8",
    ),
    "same voxels": (lambda f: write_image(f / "imagesTr/a1_0000.nii.gz", as_image(ct(0))), "a1_0000", "same voxels"),
    "same voxels in the test part": (
        lambda f: write_image(f / "imagesTs/t0_0000.nii.gz", as_image(ct(0))),
        "imagesTs/t0_0000",
        "same voxels",
    ),
    "no dataset.json": (lambda f: (f / "dataset.json").unlink(), "dataset.json", "not found"),
    "unknown key": (lambda f: replace(f / "dataset.json", '"licence"', '"license"'), "dataset.json", "license"),
}


def test_a_clean_cohort_with_missing_channels_and_regions_has_no_problem(cohort: Path) -> None:
    assert verify_dataset(cohort) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_with_its_file(cohort: Path, name: str) -> None:
    spoil, file, found = FAULTS[name]
    spoil(cohort)
    problems = verify_dataset(cohort)
    assert any(file in p.file and found in p.found and p.expected for p in problems), problems


def test_only_the_spoilt_image_is_named(cohort: Path) -> None:
    cut_off(cohort / "imagesTr/a0_0000.nii.gz")
    assert [p.file for p in verify_dataset(cohort)] == ["imagesTr/a0_0000.nii.gz"]


def test_all_faults_come_in_one_run_as_a_table(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NaN", "unknown region", "stray file", "duplicate case", "patient in both parts"):
        FAULTS[name][0](cohort)
    assert main(["-w", str(tmp_path), "--quiet"]) == 2
    printed = capsys.readouterr().out
    for words in ("NaN", "unknown values 4, 8", "notes.txt", "once more", "patient 'patient_a0'", "file  ", "expected"):
        assert words in printed


def test_the_command_ends_with_0_for_a_clean_cohort_and_counts_what_is_missing(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-w", str(tmp_path), "-d", "1"]) == 0
    printed = capsys.readouterr().out
    assert "channel FDG in 5 of 6 cases" in printed
    assert "region maps in 5 of 6 cases" in printed
    assert "no problems" in printed


def test_an_empty_workspace_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-w", str(tmp_path)]) == 2
    assert "no datasets found" in capsys.readouterr().err


def test_an_empty_dataset_folder_is_a_problem(tmp_path: Path) -> None:
    write_cohort(tmp_path, cases=0, tests=0)
    found = {(p.file, p.found) for p in verify_dataset(tmp_path)}
    assert ("imagesTr", "no base images") in found
