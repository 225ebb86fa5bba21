"""One cohort through the console scripts: plan, train, predict, evaluate; then the same again, killed and resumed."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk

from tests.pipeline import SHORT, kill_when, run

DATASET = "Dataset001_Demo"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("raw_workspace")
    run("reactkd_make_demo_dataset", "-w", workspace, "--cases", 12, "--ungraded", 2, "--tests", 4)
    return workspace / "raw"


@pytest.fixture(scope="module")
def finished(raw, tmp_path_factory):
    """The uninterrupted run."""
    workspace = new_workspace(raw, tmp_path_factory.mktemp("uninterrupted"))
    for stage in stages(workspace):
        run(*stage)
    return workspace


def new_workspace(raw: Path, workspace: Path) -> Path:
    shutil.copytree(raw, workspace / "raw")
    return workspace


def stages(workspace: Path) -> tuple[tuple[object, ...], ...]:
    common = ("-w", workspace, "--device", "cpu", "--quiet")
    return (
        ("reactkd_plan_and_preprocess", *common),
        ("reactkd_train", 0, *SHORT, *common),
        ("reactkd_predict", *external_set(workspace), "-o", workspace / "out", *common),
    )


def external_set(workspace: Path) -> tuple[object, ...]:
    """External CTs with their region maps: four iterations are too few for the localiser to find anything."""
    folder = workspace / "raw" / DATASET
    return "-i", folder / "imagesTs", "-r", folder / "regionsTs"


def digests(folder: Path, pattern: str) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob(pattern))
    }


def model_folder(workspace: Path) -> Path:
    return workspace / "results" / DATASET / "auto" / "auto_in_sample_seed0"


def assert_same_results(one: Path, other: Path) -> None:
    for folder, pattern in (
        (f"preprocessed/{DATASET}/cases", "*.b2nd"),
        (f"preprocessed/{DATASET}", "splits.json"),
        (f"results/{DATASET}/auto", "**/*.safetensors"),
        (f"results/{DATASET}/auto/auto_in_sample_seed0/fold_0", "validation/*predictions.csv"),
        ("out", "predictions.csv"),
        ("out", "explanation/*.nii.gz"),
    ):
        expected = digests(one / folder, pattern)
        assert expected, f"{folder}/{pattern} is empty"
        assert digests(other / folder, pattern) == expected, f"{folder}/{pattern} differs"


def test_every_case_gets_a_row_with_probabilities(finished):
    with (finished / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        assert row["status"] == "classified"
        assert sum(float(v) for k, v in row.items() if k.startswith("p_")) == pytest.approx(1, abs=1e-3)
        assert row["prediction_set"] == "low_grade|high_grade"  # three held-out cases exclude nothing
        assert float(row["noise_trained_low_hu"]) < float(row["noise_hu"]) < float(row["noise_trained_high_hu"])


def test_explanation_lies_in_the_cts_own_geometry(finished):
    images = finished / "raw" / DATASET / "imagesTs"
    for path in images.glob("*_0000.nii.gz"):
        ct = sitk.ReadImage(path)
        case = path.name.removesuffix("_0000.nii.gz")
        for kind in ("explanation", "uncertainty"):
            image = sitk.ReadImage(finished / "out" / "explanation" / f"{case}_{kind}.nii.gz")
            assert image.GetSize() == ct.GetSize()
            for name in ("GetSpacing", "GetOrigin", "GetDirection"):
                assert getattr(image, name)() == pytest.approx(getattr(ct, name)(), abs=1e-4)


def test_result_folders_say_what_made_them(finished):
    for folder in (finished / "preprocessed" / DATASET, model_folder(finished), finished / "out"):
        description = json.loads((folder / "run.json").read_text())
        assert description["seed"] == 0
        assert description["plan_hash"]
        assert description["versions"]["torch"]
        assert description["command"][0].startswith("reactkd_")


def test_model_folder_alone_predicts_the_same_anywhere(finished, tmp_path):
    model = shutil.copytree(model_folder(finished), tmp_path / "elsewhere")
    run("reactkd_predict", *external_set(finished), "-o", tmp_path / "out", "-m", model, "--device", "cpu", "--quiet")
    assert digests(tmp_path / "out", "predictions.csv") == digests(finished / "out", "predictions.csv")


def test_evaluation_page_is_written(finished, tmp_path):
    labels = finished / "raw" / DATASET / "labelsTs.csv"
    run("reactkd_evaluate", "-p", finished / "out" / "predictions.csv", "-l", labels, "-o", tmp_path, "--quiet")
    assert (tmp_path / "evaluation.html").stat().st_size > 10_000
    assert json.loads((tmp_path / "metrics.json").read_text())


def test_finished_fold_says_so_and_restart_gives_identical_weights(finished):
    train = stages(finished)[1]
    before = digests(model_folder(finished), "fold_0/*.safetensors")
    again = run(*(a for a in train if a != "--quiet"))
    assert "finished" in again.stdout + again.stderr
    run(*train, "--restart")
    assert digests(model_folder(finished), "fold_0/*.safetensors") == before


def test_killed_at_any_stage_and_repeated_gives_the_same_result(finished, raw, tmp_path):
    workspace = new_workspace(raw, tmp_path)
    plan, train, predict = stages(workspace)
    cases = workspace / "preprocessed" / DATASET / "cases"
    assert kill_when(lambda: len(list(cases.glob("[!.]*.json"))) >= 3, *plan)
    run(*plan)
    teachers = workspace / "results" / DATASET / "auto" / "teachers"
    assert kill_when(lambda: any(teachers.glob("**/latest.pt")), *train)
    assert kill_when((model_folder(workspace) / "fold_0" / "latest.pt").exists, *train)
    run(*train)
    assert kill_when(lambda: any((workspace / "out" / "cases").glob("[!.]*.json")), *predict)
    run(*predict)
    assert_same_results(finished, workspace)
