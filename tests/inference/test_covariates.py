"""Predicting with a table of clinical covariates."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reactkd_auto.dataset import Covariate
from reactkd_auto.inference.command import main
from reactkd_auto.model_folder import ModelConfig, ModelFolder
from reactkd_auto.networks import build_student, save_weights
from tests.builders import small_dataset, with_opinions
from tests.inference.conftest import plan_for_tests, write_model

MARKER = (Covariate("marker", "numeric"),)


@pytest.fixture
def informed(tmp_path) -> ModelFolder:
    """A model whose students count every unit of the marker for the second class."""
    plan, dataset = plan_for_tests(), replace(small_dataset(), covariates=MARKER)
    model = write_model(tmp_path / "model", plan, folds=1, dataset=dataset)
    model.write_config(ModelConfig("auto", ("CT",), 0, covariates=True))
    student = with_opinions(build_student(plan, dataset, ("CT",), covariates=True, seed=0), seed=3)
    with torch.no_grad():
        student.covariates.logits.weight[1] = student.covariates.hidden.weight[:, 0]
    save_weights(model.student_weights(0), student)
    return model


def probabilities(model: object, cohort: tuple[Path, Path], output: Path, *more: object) -> dict[str, float]:
    images, regions = cohort
    arguments = ["-i", images, "-o", output, "-m", getattr(model, "path", model), "-r", regions, "--device", "cpu"]
    assert main([str(a) for a in (*arguments, "--no_explanation", "--quiet", *more)]) == 0
    with (output / "predictions.csv").open() as file:
        return {row["case"]: float(row["p_high"]) for row in csv.DictReader(file)}


def test_a_known_covariate_counts_and_a_missing_one_is_normal(informed, cohort, tmp_path):
    untold = probabilities(informed, cohort, tmp_path / "out")
    (tmp_path / "t.csv").write_text("case,marker\na,3\n", encoding="utf-8")
    told = probabilities(informed, cohort, tmp_path / "out", "-c", tmp_path / "t.csv")
    assert told["a"] > untold["a"] + 0.01
    assert told["b"] == untold["b"]
    (tmp_path / "t.csv").write_text("case,marker\na,\nb,\n", encoding="utf-8")
    assert probabilities(informed, cohort, tmp_path / "out", "-c", tmp_path / "t.csv") == untold


def test_a_model_that_takes_none_refuses_a_table(model, cohort, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("case,marker\na,3\n", encoding="utf-8")
    arguments = ["-i", cohort[0], "-o", tmp_path / "out", "-m", model.path, "-c", tmp_path / "t.csv"]
    assert main([str(a) for a in arguments]) == 2
    assert f"the model in {model.path} takes no covariates, expected none" in capsys.readouterr().err
