"""Planning a cohort with faults: a bad case is left out with the verifier's sentence, a bad document stops it."""

import re
import shutil
from pathlib import Path

import pytest

from reactkd_auto.cases import finished_cases
from reactkd_auto.dataset import LabelledCase, read_labels, write_labels
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.planning.command import main
from reactkd_auto.splits import read_splits
from tests.dataset_conversion.cohorts import DATASET, write_cohort
from tests.dataset_conversion.faults import FAULTS

NAME = "Dataset001_Small"
OF_A_CASE = [
    "cut off", "no bytes", "NaN", "colours", "one slice", "four dimensions", "sheared axes", "two geometries",
    "no geometry", "implausible spacing", "unshifted CT", "normalised CT", "windowed CT", "Bq/ml", "PET by its body",
    "PET normalised", "CT as PET", "channel elsewhere", "regions off the grid", "unknown region",
    "fractions in a region map", "sidecar without JSON", "sidecar of another kind",
]  # fmt: skip
OF_A_DOCUMENT = [
    "unknown class", "duplicate case", "unsafe case", "no labels", "labels without rows", "labels without column",
    "table with semicolons", "patient in both parts", "case in both parts", "no dataset.json", "unknown key",
]  # fmt: skip


def plan(workspace: Path) -> int:
    return main(["-w", str(workspace), "--device", "cpu", "--workers", "1", "--quiet"])


def add_bad_case(folder: Path, scratch: Path, case: str, fault: str) -> None:
    """A case of its own with one fault."""
    spoilt = write_cohort(scratch / case, cases=2, tests=0)
    FAULTS[fault][0](spoilt)
    for path in [*(spoilt / "imagesTr").glob("a0_*"), *(spoilt / "regionsTr").glob("a0*")]:
        shutil.move(path, folder / path.parent.name / path.name.replace("a0", case))


def test_bad_cases_are_left_out_with_the_sentence_of_the_verifier_and_the_others_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_cohort(tmp_path / "raw" / NAME, cases=5, tests=0)
    rows = read_labels(folder / "labelsTr.csv", DATASET.classes)
    bad = {f"bad{i}": fault for i, fault in enumerate(OF_A_CASE)}
    for case, fault in bad.items():
        add_bad_case(folder, tmp_path / "scratch", case, fault)
    shutil.copy(folder / "imagesTr/a1_0000.nii.gz", folder / "imagesTr/copy_0000.nii.gz")
    extra = [LabelledCase(case, f"patient_{case}", 0) for case in (*bad, "copy", "without_files")]
    write_labels(folder / "labelsTr.csv", [*rows, *extra], DATASET.classes)
    problems = {p.file: p for p in verify_dataset(folder)}
    assert plan(tmp_path) == 3
    said = capsys.readouterr().err
    told = dict(re.findall(r"^\s+(\w+): (.*)$", said, flags=re.MULTILINE))
    assert sorted(told) == sorted([*bad, "copy", "without_files"])
    assert "Traceback" not in said
    for case, fault in bad.items():
        words = FAULTS[fault][2].replace("no JSON", "JSON").replace("a list", "list")
        assert words in told[case], fault
        if "sidecar" not in fault:
            assert any(case in file and p.found in told[case] for file, p in problems.items()), fault
    assert "the same voxels as imagesTr/a1_0000.nii.gz" in told["copy"]
    assert "no such file" in told["without_files"]
    out = tmp_path / "preprocessed" / NAME
    good = [row.case for row in rows]
    assert finished_cases(out / "cases") == sorted(read_splits(out).assignment) == good


@pytest.mark.parametrize("fault", OF_A_DOCUMENT)
def test_a_bad_document_stops_planning_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    folder = write_cohort(tmp_path / "raw" / NAME)
    FAULTS[fault][0](folder)
    assert plan(tmp_path) == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()
    assert FAULTS[fault][1].split("/")[-1] in sentence
    assert not (tmp_path / "preprocessed" / NAME / "plan.json").exists()


def test_an_empty_folder_stops_planning_with_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw" / NAME).mkdir(parents=True)
    assert plan(tmp_path) == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()
    assert "dataset.json" in sentence
