"""A cohort whose covariate alone tells the class."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import pytest
import torch

from reactkd_auto.cases import finished_cases, read_properties
from reactkd_auto.covariates import write_covariates
from reactkd_auto.dataset import Covariate, write_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.networks import CovariateBranch, build_student, build_teachers, load_weights
from reactkd_auto.training import train
from reactkd_auto.training.covariates import hide_covariates

MARKER = (Covariate("marker", "numeric"), Covariate("sex", "categorical", ("female", "male")))


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch):
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)
    monkeypatch.setattr("reactkd_auto.training.validation.evaluate", lambda *_, **__: None)


@pytest.fixture
def cohort(make_cohort):
    """The marker is 10 in benign and 30 in malignant cases, unknown in one ungraded case; sex is never known."""
    made = make_cohort()
    folder = made.cases.parent
    labels = {name: read_properties(made.cases, name).label for name in finished_cases(made.cases)}
    values = {name: (10.0 if label == 0 else 30.0, math.nan) for name, label in labels.items()}
    values["case_08"] = (math.nan, math.nan)
    write_dataset(folder, replace(made.dataset, covariates=MARKER))
    write_covariates(folder, values, MARKER)
    return replace(made, dataset=replace(made.dataset, covariates=MARKER))


def run(cohort, **options):
    return train(0, workspace=cohort.workspace, device="cpu", epochs=3, iterations=8, quiet=True, **options)


def says(branch: CovariateBranch, marker: float) -> float:
    """Log odds of malignant that the branch adds."""
    with torch.no_grad():
        logits = branch(torch.tensor([[marker, math.nan]]))[0]
    return float(logits[1] - logits[0])


def test_teachers_and_a_student_that_may_learn_the_marker(cohort):
    model = run(cohort, covariates=True)
    assert model.path.name == "auto_covariates_seed0"
    assert model.config.covariates
    student = build_student(model.plan, model.dataset, covariates=True)
    load_weights(model.student_weights(0), student)
    teachers = build_teachers(model.plan, model.dataset)
    load_weights(cohort.results / "teachers" / "auto_seed0" / "without_0" / "teachers.safetensors", teachers)
    branches = [m for n in (student, teachers) for m in n.modules() if isinstance(m, CovariateBranch)]
    assert len(branches) == 3
    for branch in branches:
        assert says(branch, 30.0) - says(branch, 10.0) > 0.05
        assert float(branch.mean[0]) == pytest.approx(22.0)  # of the four graded cases of fold 1 and an ungraded one


def test_the_baseline_without_images_stands_beside_the_model(cohort):
    model = run(cohort, preset="baseline")
    assert model.path.name == "baseline_seed0"
    assert not model.config.covariates
    with (model.fold(0) / "validation" / "covariates_predictions.csv").open() as file:
        found = {row["case"]: row["predicted_class"] for row in csv.DictReader(file)}
    assert found == {
        "case_00": "benign",
        "case_02": "malignant",
        "case_04": "benign",
        "case_06": "malignant",
    }


def test_a_dataset_without_covariates_has_none_to_show(make_cohort):
    with pytest.raises(UserError, match=r"--covariates: .*dataset\.json names none, expected some"):
        run(make_cohort(), covariates=True)


def test_a_value_in_ten_is_hidden_and_nothing_is_drawn_without_covariates():
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert hide_covariates(None, generator, whole=(4, slice(4))) is None
    assert torch.equal(generator.get_state(), before)
    hidden = hide_covariates(torch.ones(4000, 2), generator, whole=(4000, slice(4000)))
    assert hidden.isnan().float().mean() == pytest.approx(0.1, abs=0.01)
