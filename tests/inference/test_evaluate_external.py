"""`reactkd_evaluate -d`: a dataset's test set from raw images to a page, with random weights."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from reactkd_auto.dataset import write_dataset
from reactkd_auto.inference.evaluate_command import main
from reactkd_auto.model_folder import ModelConfig, ModelFolder
from reactkd_auto.networks import build_student, save_weights
from tests.builders import small_dataset, with_opinions
from tests.inference.conftest import plan_for_tests, simulated_ct, write_model

CASES = 6
CLASSES = ("low", "high")


def write_test_set(workspace: Path, *, pet: bool = False) -> Path:
    raw = workspace / "raw" / "Dataset001_Small"
    for room in ("imagesTs", "regionsTs"):
        (raw / room).mkdir(parents=True)
    write_dataset(raw, small_dataset())
    for seed in range(CASES):
        ct, regions = simulated_ct(seed)
        sitk.WriteImage(ct, str(raw / "imagesTs" / f"c{seed}_0000.nii.gz"))
        sitk.WriteImage(regions, str(raw / "regionsTs" / f"c{seed}.nii.gz"))
        if pet and seed > 0:
            suv = sitk.Cast(regions, sitk.sitkFloat32) * (1.0 + seed)
            sitk.WriteImage(suv, str(raw / "imagesTs" / f"c{seed}_0001.nii.gz"))
    rows = "".join(f"c{seed},{CLASSES[seed % 2]},{'fm'[seed < 3]}\n" for seed in range(CASES))
    (raw / "labelsTs.csv").write_text(f"case,label,sex\n{rows}", encoding="utf-8")
    return raw


def evaluate(workspace: Path, output: Path, model: ModelFolder, *more: str) -> int:
    options = ("-d", "1", "-w", workspace, "-o", output, "-m", model.path, "--device", "cpu", "--quiet", *more)
    return main([str(o) for o in options])


def metrics(output: Path) -> dict:
    return json.loads((output / "metrics.json").read_text(encoding="utf-8"))


def answers(output: Path, folder: str) -> dict[str, str]:
    with (output / folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return {row["case"]: row["p_high"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    write_test_set(folder)
    return folder


@pytest.fixture(scope="module")
def one_fold(tmp_path_factory) -> ModelFolder:
    return write_model(tmp_path_factory.mktemp("one_fold"), plan_for_tests(), folds=1)


@pytest.fixture(scope="module")
def swept(workspace, one_fold, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("swept") / "out"
    assert evaluate(workspace, output, one_fold, "--dose_levels", "1", "0.1", "0.5") == 0
    return output


def test_one_command_predicts_and_evaluates_the_test_set(swept):
    found = metrics(swept)
    assert found["n_cases"] == CASES
    assert {s["column"] for s in found["subgroups"]} == {"sex"}
    assert len(answers(swept, "predictions")) == CASES
    page = (swept / "evaluation.html").read_text(encoding="utf-8")
    assert "AUC against dose" in page
    assert "the test set of Dataset001_Small" in page


def test_doses_fall_from_the_ct_as_it_is_and_differences_are_paired_to_it(swept):
    (sweep,) = metrics(swept)["sweeps"]
    assert [p["name"] for p in sweep["points"]] == ["100 %", "50 %", "10 %"]
    assert [p["dose"] for p in sweep["points"]] == [1.0, 0.5, 0.1]
    full, *lower = sweep["points"]
    assert full["difference"] is None
    for point in lower:
        difference = point["macro_auc"]["value"] - full["macro_auc"]["value"]
        assert point["difference"]["value"] == pytest.approx(difference)
    with (swept / "metrics.csv").open(newline="", encoding="utf-8") as file:
        names = {row["metric"] for row in csv.DictReader(file)}
    assert {"macro_auc with dose 10 %", "macro_auc difference with dose 10 %"} <= names
    assert (swept / "dose.svg").exists()


def test_less_dose_moves_probabilities_further(swept):
    by_dose = [answers(swept, f) for f in ("predictions", "dose_50", "dose_10")]
    full, half, tenth = (np.array([float(a[c]) for c in sorted(a)]) for a in by_dose)
    assert 0 < np.abs(half - full).mean() < np.abs(tenth - full).mean()


def test_a_dose_does_not_depend_on_the_others_and_finished_answers_are_kept(swept, workspace, one_fold, tmp_path):
    assert evaluate(workspace, tmp_path / "out", one_fold, "--dose_levels", "0.1") == 0
    assert answers(tmp_path / "out", "dose_10") == answers(swept, "dose_10")
    case = tmp_path / "out" / "dose_10" / "cases" / "c0.json"
    before = case.stat().st_mtime_ns
    assert evaluate(workspace, tmp_path / "out", one_fold, "--dose_levels", "0.1") == 0
    assert case.stat().st_mtime_ns == before
    assert evaluate(workspace, tmp_path / "out", one_fold, "--dose_levels", "0.1", "--seed", "3") == 0
    assert answers(tmp_path / "out", "dose_10") != answers(swept, "dose_10")


def test_drawn_regions_are_compared_with_the_models_own(workspace, one_fold, tmp_path):
    """This model's localiser finds nothing: every case is unanswered there, and the page says so."""
    assert evaluate(workspace, tmp_path, one_fold, "--regions", "both") == 0
    (sweep,) = metrics(tmp_path)["sweeps"]
    assert [(p["name"], p["n_not_classified"]) for p in sweep["points"]] == [("drawn", 0), ("automatic", CASES)]
    assert (sweep["n_cases"], sweep["n_left_out"]) == (0, CASES)


def test_a_localiser_that_finds_lesions_is_judged_beside_the_drawn_ones(workspace, tmp_path):
    model = write_model(tmp_path / "model", plan_for_tests(), folds=1)
    _let_everything_be_lesion(model)
    assert evaluate(workspace, tmp_path / "out", model, "--regions", "both") == 0
    (sweep,) = metrics(tmp_path / "out")["sweeps"]
    assert sweep["n_cases"] == CASES
    assert sweep["points"][1]["difference"]["value"] is not None


def test_every_subset_of_channels_is_judged_on_cases_that_have_them_all(tmp_path):
    write_test_set(tmp_path, pet=True)
    plan = plan_for_tests()
    model = write_model(tmp_path / "model", plan, folds=1)
    model.write_config(ModelConfig("auto", ("CT", "FDG"), 0))
    save_weights(model.student_weights(0), with_opinions(build_student(plan, small_dataset(), ("CT", "FDG"))))
    assert evaluate(tmp_path, tmp_path / "out", model, "--channel_subsets") == 0
    (sweep,) = metrics(tmp_path / "out")["sweeps"]
    assert [p["name"] for p in sweep["points"]] == ["CT + FDG", "CT"]
    assert (sweep["n_cases"], sweep["n_left_out"]) == (CASES - 1, 1)
    with_pet, without = answers(tmp_path / "out", "predictions"), answers(tmp_path / "out", "channels_CT")
    assert all(with_pet[case] != p for case, p in without.items())


@pytest.fixture(scope="module")
def checked(workspace, one_fold, tmp_path_factory) -> Path:
    """Two cases of one patient in the label table."""
    table = workspace / "raw" / "Dataset001_Small" / "labelsTs.csv"
    before = table.read_text(encoding="utf-8")
    patients = ("A", "A", "B", "C", "D", "E")
    rows = "".join(f"c{i},{CLASSES[i % 2]},{p}\n" for i, p in enumerate(patients))
    table.write_text(f"case,label,patient\n{rows}", encoding="utf-8")
    output = tmp_path_factory.mktemp("checked") / "out"
    try:
        assert evaluate(workspace, output, one_fold, "--check_explanations") == 0
    finally:
        table.write_text(before, encoding="utf-8")
    return output


def test_the_explanations_of_the_test_set_are_judged(checked):
    measures = {m["name"]: m for m in metrics(checked)["explanations"]}
    assert {(m["n_cases"], m["n_patients"]) for m in measures.values()} == {(CASES, CASES - 1)}
    cases = json.loads((checked / "predictions" / "explanation_checks.json").read_text(encoding="utf-8"))["cases"]
    for name, measure in measures.items():
        mean = measure["mean"]
        assert mean["value"] == pytest.approx(np.mean([c[name] for c in cases]))
        if name in ("energy_in_lesions", "deletion_area"):  # the phantoms' regions are all alike
            assert mean["low"] < mean["value"] < mean["high"]
            assert mean["method"].startswith("patient bootstrap")
    with (checked / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    row, area = rows["explanation deletion_area"], measures["deletion_area"]["mean"]
    assert int(row["n"]) == CASES
    limits = [area[k] for k in ("value", "low", "high")]
    assert [float(row[k]) for k in ("value", "low", "high")] == pytest.approx(limits, rel=1e-5)
    page = (checked / "evaluation.html").read_text(encoding="utf-8")
    assert "Can the explanations be trusted?" in page
    assert page.count("chance") > 3


def test_explanations_are_judged_on_the_regions_of_the_answers(workspace, tmp_path):
    """The model's own regions are everything, as lesion: so is all of the explanation. Drawn ones are not looked at."""
    model = write_model(tmp_path / "model", plan_for_tests(), folds=1)
    _let_everything_be_lesion(model)
    assert evaluate(workspace, tmp_path / "out", model, "--regions", "automatic", "--check_explanations") == 0
    flat = next(m for m in metrics(tmp_path / "out")["explanations"] if m["name"] == "energy_of_a_flat_map")
    assert flat["mean"]["value"] == pytest.approx(1)


def test_without_the_option_no_explanation_is_judged(swept):
    assert metrics(swept)["explanations"] == []
    assert "Can the explanations be trusted?" not in (swept / "evaluation.html").read_text(encoding="utf-8")


def test_a_damaged_ct_is_reported_and_the_others_are_evaluated(tmp_path, one_fold):
    raw = write_test_set(tmp_path)
    (raw / "imagesTs" / "c2_0000.nii.gz").write_bytes(b"no image")
    assert evaluate(tmp_path, tmp_path / "out", one_fold, "--dose_levels", "0.5") == 3
    found = metrics(tmp_path / "out")
    assert found["n_cases"] == CASES - 1
    assert found["not_classified"][0]["case"] == "c2"
    assert str(tmp_path) not in found["not_classified"][0]["reason"]


@pytest.mark.parametrize(
    "refused",
    [
        (("--channel_subsets",), "takes CT alone"),
        (("--dose_levels", "1"), "at least one below 1"),
        (
            ("--dose_levels", "50"),
            "--dose_levels: found dose fractions 50, expected at least one, each from 0.005 to 1",
        ),
        (("-l", "labels.csv"), "expected together with -p"),
        (("-p", "p.csv"), "expected without -p"),
        (("-d", "1", "--check_explanations", "-p", "p.csv"), "expected without -p"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(workspace, one_fold, tmp_path, capsys, refused):
    more, sentence = refused
    assert evaluate(workspace, tmp_path / "out", one_fold, *more) == 2
    assert sentence in capsys.readouterr().err


def test_a_dataset_without_a_test_set_or_of_other_classes_is_refused(one_fold, tmp_path, capsys):
    raw = write_test_set(tmp_path)
    write_dataset(raw, small_dataset(classes=("a", "b")))
    assert evaluate(tmp_path, tmp_path / "out", one_fold) == 2
    assert "other classes" in capsys.readouterr().err
    (raw / "labelsTs.csv").unlink()
    assert evaluate(tmp_path, tmp_path / "out", one_fold) == 2
    assert "labelsTs.csv: not there" in capsys.readouterr().err


def _let_everything_be_lesion(model: ModelFolder) -> None:
    from reactkd_auto.networks import build_localiser, load_weights

    localiser = build_localiser(model.plan, model.dataset)
    load_weights(model.localiser_weights(0), localiser)
    with torch.no_grad():
        final = [m for m in localiser.modules() if isinstance(m, torch.nn.Conv3d) and m.bias is not None][-1]
        final.bias.copy_(torch.tensor([0.0, 0.0, 50.0]))
    save_weights(model.localiser_weights(0), localiser)
