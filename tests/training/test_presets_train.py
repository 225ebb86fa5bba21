"""Every preset really trains, with its losses in the log."""

from __future__ import annotations

import csv
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from reactkd_auto.cases import finished_cases, read_properties, write_properties
from reactkd_auto.dataset import write_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.plan import EncoderPlan, read_plan, write_plan
from reactkd_auto.training import teacher_weights, train
from reactkd_auto.training.preset import preset_names, read_preset
from reactkd_auto.training.teacher_weights import Votes

CONDITIONS = {
    "dist": "a batch of 8",
    "logit_std": "three classes",
    "without_dose_teacher": "tracers everywhere",
}


@pytest.fixture(autouse=True)
def _only_training(monkeypatch):
    """Pictures, sizes and evaluation have tests of their own."""
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)
    monkeypatch.setattr("reactkd_auto.training.stages.describe", lambda *_: {"parameters": 1, "flops": 1})
    monkeypatch.setattr("reactkd_auto.training.validation.evaluate", lambda *_, **__: None)


@pytest.fixture
def workspace(make_cohort):
    """A cohort whose plan, classes or tracers can be changed."""
    cohort = make_cohort()

    def make(condition: str | None) -> Path:
        preprocessed = cohort.cases.parent
        if condition == "a batch of 8":
            write_plan(preprocessed / "plan.json", replace(read_plan(preprocessed / "plan.json"), batch_size=8))
        if condition == "three classes":
            write_dataset(preprocessed, replace(cohort.dataset, classes=("benign", "malignant", "unclear")))
        if condition == "tracers everywhere":
            for case in finished_cases(cohort.cases):
                write_properties(cohort.cases, replace(read_properties(cohort.cases, case), present=(True, True)))
        return cohort.workspace

    return make


@pytest.mark.parametrize("name", [n for n in preset_names() if read_preset(n).teachers != "swin"])
def test_a_preset_trains_with_its_losses_in_the_log(workspace, name, shared_teachers, caplog):
    root, preset = workspace(CONDITIONS.get(name)), read_preset(name)
    kept, teachers = shared_teachers / "teachers", root / "results" / "Dataset001_Tiny" / "auto" / "teachers"
    shares = preset.distil and name not in CONDITIONS
    if shares and kept.exists():
        shutil.copytree(kept, teachers)
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        model = train(0, workspace=root, preset=name, device="cpu", epochs=1, iterations=2, quiet=True)
    if shares and not kept.exists():
        shutil.copytree(teachers, kept)
    rows = _rows(model.fold(0) / "metrics.csv")
    weights = {"labels": preset.label_weight, **preset.losses}
    assert set(weights) <= set(rows[-1])
    assert float(rows[-1]["loss"]) == pytest.approx(sum(w * float(rows[-1][n]) for n, w in weights.items()), rel=1e-4)
    assert "losses and weights: " + ", ".join(f"{n} {weights[n]:g}" for n in _in_order(weights)) in caplog.text
    assert model.finished_folds() == [0]


def test_the_paper_s_preset_trains_swin_transformers_of_its_own_beside_the_shared_localiser(
    make_cohort, caplog, monkeypatch
):
    monkeypatch.setattr("reactkd_auto.networks.swin.SIZES", {"cpu": EncoderPlan(6, (1, 1, 1, 1))})
    cohort = make_cohort(localiser=True)
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        model = train(0, workspace=cohort.workspace, preset="paper", device="cpu", epochs=1, iterations=1, quiet=True)
    row = _rows(model.fold(0) / "metrics.csv")[-1]
    assert row["gw"] == row["edge"] != "0"
    teachers = cohort.results / "teachers"
    assert (teachers / "swin_seed0" / "without_0" / "teachers.safetensors").exists()
    assert not (teachers / "auto_seed0" / "without_0" / "teachers.safetensors").exists()
    assert (teachers / "auto_seed0" / "without_0" / "localiser.safetensors").exists()
    assert "patches (8, 16, 16) are padded to (32, 32, 32), multiples of 32: 16.0 × the work" in caplog.text


def test_cross_fitted_teachers_are_judged_and_weighed_out_of_fold(make_cohort, caplog, monkeypatch):
    given: list[Votes] = []
    before = teacher_weights.WEIGHTINGS["performance"]
    monkeypatch.setitem(teacher_weights.WEIGHTINGS, "performance", lambda votes: given.append(votes) or before(votes))
    cohort = make_cohort(folds=3)
    options = {"preset": "mtcm", "teachers": "cross_fitted", "epochs": 1, "iterations": 1}
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        train(0, workspace=cohort.workspace, device="cpu", quiet=True, **options)
    assert given[0].logits.shape == (3, 2, 2)
    assert given[0].losses.shape == (3,)
    assert "patients of the rarest class have a privileged channel, too few to judge teacher structure" in caplog.text


def test_a_preset_whose_condition_is_not_met_is_refused_before_anything_is_trained(workspace):
    root = workspace(None)
    with pytest.raises(UserError, match="DIST correlates over a batch, found 2 samples"):
        train(0, workspace=root, preset="dist", device="cpu")
    with pytest.raises(UserError, match="2 of 10 cases have no privileged channel"):
        train(0, workspace=root, preset="without_dose_teacher", device="cpu")
    assert not (root / "results").exists()


@pytest.fixture(scope="module")
def shared_teachers(tmp_path_factory):
    """Filled by the first preset that trains teachers."""
    return tmp_path_factory.mktemp("teachers")


def _in_order(weights):
    from reactkd_auto.training.losses import DISTILLATION

    return ["labels", *(n for n in DISTILLATION if n in weights)]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))
