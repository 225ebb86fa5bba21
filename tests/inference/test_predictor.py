"""`Predictor`: one model in memory, the same answers as the command's; and the how-to that shows it."""

import csv
import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.errors import UserError
from reactkd_auto.inference import Prediction, Predictor, predict
from tests.builders import small_dataset
from tests.conftest import ROOT
from tests.inference.conftest import plan_for_tests, simulated_ct, write_cohort, write_model

HOW_TO = ROOT / "documentation" / "how-to" / "watch-a-folder.md"


@pytest.fixture(scope="module")
def predictor(model) -> Predictor:
    return Predictor.from_folder(model.path, device="cpu")


@pytest.fixture(scope="module")
def whole_image_model(tmp_path_factory) -> Path:
    """Needs no regions, so that any CT is answered."""
    plan = plan_for_tests()
    plan = dataclasses.replace(
        plan,
        graph=dataclasses.replace(plan.graph, enabled=False),
        localiser=dataclasses.replace(plan.localiser, enabled=False),
    )
    return write_model(tmp_path_factory.mktemp("whole"), plan, folds=1).path


def _numbers(prediction: Prediction) -> list[float | None]:
    return [*prediction.probabilities.values(), prediction.uncertainty_std]


def test_it_answers_as_the_command_does(model, predictor, tmp_path):
    images, regions = write_cohort(tmp_path)
    predict(images, tmp_path / "out", model=model.path, regions=regions, device="cpu", quiet=True)
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = {r["case"]: r for r in csv.DictReader(file)}
    for case, name in (("a", "a_0000"), ("b", "b")):
        map_of_case = regions / f"{case}.nii.gz"
        prediction = predictor.predict(images / f"{name}.nii.gz", regions=map_of_case, explanation=True)
        assert [f"{p:.6f}" for p in prediction.probabilities.values()] == [
            rows[case][f"p_{c}"] for c in ("low", "high")
        ]
        assert prediction.predicted_class == rows[case]["predicted_class"]
        for kind in ("explanation", "uncertainty", "attention", "regions"):
            written = sitk.ReadImage(str(tmp_path / "out" / "explanation" / f"{case}_{kind}.nii.gz"))
            np.testing.assert_array_equal(
                sitk.GetArrayFromImage(prediction.images[kind]), sitk.GetArrayFromImage(written)
            )


def test_array_image_and_series_of_calls_agree(predictor):
    ct, regions = simulated_ct(0)
    array, labels = sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(regions)
    first = predictor.predict(ct, regions=regions)
    again = predictor.predict(ct, regions=regions)
    from_array = predictor.predict(array, spacing_mm=ct.GetSpacing()[::-1], regions=labels)
    assert _numbers(first) == _numbers(again)
    assert _numbers(from_array) == pytest.approx(_numbers(first), abs=1e-6)
    assert sum(first.probabilities.values()) == pytest.approx(1)
    assert list(first.images) == ["regions"]
    assert {r.node for r in first.regions} >= {"lesion_1", "lesion_2"}


def test_nothing_found_is_an_answer(predictor):
    prediction = predictor.predict(simulated_ct(0)[0])
    assert (prediction.status, prediction.probabilities) == ("not classified", {})
    assert "found no lesion" in prediction.reason


def test_a_channel_that_the_model_does_not_take_changes_nothing(predictor):
    ct, regions = simulated_ct(0)
    pet = sitk.Abs(ct) / 500
    assert _numbers(predictor.predict(ct, regions=regions, channels={"FDG": pet})) == _numbers(
        predictor.predict(ct, regions=regions)
    )


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda ct, r: {"ct": sitk.GetArrayFromImage(ct)}, "expected three numbers"),
        (lambda ct, r: {"ct": ct[:, :, 0]}, "an image of 2 dimensions"),
        (lambda ct, r: {"ct": ct * 0.001}, "which look normalised"),
        (lambda ct, r: {"ct": ct * float("nan")}, "NaN or infinite"),
        (lambda ct, r: {"ct": ct, "regions": r * 3}, "a region map with the value 3"),
        (lambda ct, r: {"ct": ct, "regions": r[:, :, :5]}, "another grid"),
        (lambda ct, r: {"ct": ct, "channels": {"PSMA": ct}}, "channel 'PSMA' is unknown"),
        (lambda ct, r: {"ct": "nowhere.nii"}, "no such file"),
    ],
)
def test_bad_images_are_one_sentence(predictor, spoil, sentence):
    with pytest.raises(UserError, match=sentence):
        predictor.predict(**spoil(*simulated_ct(0)))


def _blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_how_to_runs_as_written(whole_image_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole_image_model, tmp_path / "models" / "liver")
    sitk.WriteImage(simulated_ct(0)[0], "ct.nii.gz")
    names: dict[str, object] = {}
    for block in _blocks()[:2]:
        exec(block, names)
    assert capsys.readouterr().out.startswith("classified ")
    assert sitk.ReadImage("explanation.nii.gz").GetSize() == simulated_ct(0)[0].GetSize()


def test_the_watch_loop_predicts_what_arrives_and_nothing_twice(whole_image_model, tmp_path, capsys):
    names: dict[str, object] = {"__name__": "how_to"}
    exec(_blocks()[2], names)
    inbox, output = tmp_path / "inbox", tmp_path / "answers"
    inbox.mkdir()

    def rounds(count: int) -> str:
        names["watch"](inbox, output, whole_image_model, pause_s=0, rounds=count)  # type: ignore[operator]
        return capsys.readouterr().out

    assert rounds(1) == ""
    sitk.WriteImage(simulated_ct(0)[0], str(inbox / "a.nii.gz"))
    (inbox / ".b.nii.gz").write_bytes(b"half")
    assert rounds(3) == "1 cases, 0 failed\n"
    (inbox / ".b.nii.gz").rename(inbox / "b.nii.gz")
    assert rounds(1) == "2 cases, 1 failed\n"
    assert [p.name for p in sorted((output / "cases").iterdir())] == ["a.json", "b.json"]


def test_a_model_with_a_pet_uses_it_and_does_without(tmp_path):
    """`small_dataset` calls the PET FDG."""
    from reactkd_auto.model_folder import ModelConfig, ModelFolder
    from reactkd_auto.networks import build_student, save_weights
    from tests.builders import with_opinions

    folder, plan = write_model(tmp_path, plan_for_tests(), folds=1).path, plan_for_tests()
    ModelFolder(folder).write_config(ModelConfig("auto", ("CT", "FDG"), 0))
    save_weights(
        ModelFolder(folder).student_weights(0), with_opinions(build_student(plan, small_dataset(), ("CT", "FDG")))
    )
    ct, regions = simulated_ct(0)
    predictor = Predictor.from_folder(folder, device="cpu")
    without = predictor.predict(ct, regions=regions)
    with_pet = predictor.predict(ct, regions=regions, channels={"FDG": sitk.Abs(ct) / 100})
    assert without.status == with_pet.status == "classified"
    assert _numbers(without) != _numbers(with_pet)
