"""`reactkd_verify_dataset` names every fault of a cohort in one run, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.dataset_conversion.verify_command import main
from reactkd_auto.imageio import read_image, same_grid, to_canonical
from tests.dataset_conversion.cohorts import as_image, ct, write_cohort
from tests.dataset_conversion.faults import A0, FAULTS, cut_off, save_nifti


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    return write_cohort(tmp_path / "raw" / "Dataset001_Small", cases=6)


def test_a_clean_cohort_with_missing_channels_and_regions_has_no_problem(cohort: Path) -> None:
    assert verify_dataset(cohort) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_with_its_file(cohort: Path, name: str) -> None:
    spoil, file, found = FAULTS[name]
    spoil(cohort)
    problems = verify_dataset(cohort)
    assert any(file in p.file and found in p.found and p.expected for p in problems), problems
    assert not any("\n" in p.found + p.expected for p in problems)


def test_left_handed_axes_are_counted_and_no_fault(cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """LAS, as FSL and dcm2niix store images: the same body in the same place."""
    flipped = np.diag([2.0, -2.0, 2.0, 1.0])
    flipped[0, 3] = -14
    save_nifti(cohort / A0, ct(0).T[::-1], flipped)
    assert main(["--folder", str(cohort), "--quiet"]) == 0
    assert "training: 1 images with left-handed axes, turned on reading, for instance imagesTr/a0" in (
        capsys.readouterr().out
    )
    plain = to_canonical(as_image(ct(0)))
    turned = to_canonical(read_image(cohort / A0))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(turned), sitk.GetArrayFromImage(plain))
    assert same_grid(turned, plain)


def test_a_sidecar_is_a_file_of_its_case(cohort: Path) -> None:
    (cohort / "imagesTr/a0_0000.json").write_text('{"KVP": 120}')
    assert verify_dataset(cohort) == []


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


def test_one_problem_is_not_called_problems(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cohort / "imagesTr" / "notes.txt").write_text("a stray file", encoding="utf-8")
    assert main(["-w", str(tmp_path), "--quiet"]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == "1 problem"


def test_an_empty_workspace_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-w", str(tmp_path)]) == 2
    assert "no datasets found" in capsys.readouterr().err


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    (problem,) = verify_dataset(tmp_path)
    assert problem.file == "dataset.json"
    assert "not found" in problem.found


def test_a_folder_of_documents_without_images_is_a_problem(tmp_path: Path) -> None:
    write_cohort(tmp_path, cases=0, tests=0)
    found = {(p.file, p.found) for p in verify_dataset(tmp_path)}
    assert ("imagesTr", "no base images") in found
