"""Students as ONNX files: the same answers through other runtimes."""

import csv
import dataclasses
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from reactkd_auto.dataset import Covariate
from reactkd_auto.inference.command import main as predict
from reactkd_auto.inference.export_onnx_command import main as export
from reactkd_auto.model_folder import ModelConfig, ModelFolder
from reactkd_auto.networks import build_student, save_weights
from tests.builders import small_dataset, with_opinions
from tests.inference.conftest import plan_for_tests, write_cohort, write_model

pytest.importorskip("onnxruntime")
BACKENDS = ("onnx", "openvino")
COVARIATES = (Covariate("marker", "numeric"), Covariate("virus", "categorical", ("B", "C")))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> tuple[Path, Path]:
    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def exported(cohort, tmp_path_factory) -> tuple[ModelFolder, str]:
    """A model with its students exported, and what the command said."""
    images, regions = cohort
    model = write_model(tmp_path_factory.mktemp("exported"), plan_for_tests(), folds=1)
    said = pytest.MonkeyPatch()
    lines: list[str] = []
    said.setattr(sys.stdout, "write", lines.append)
    try:
        code = export(["-m", str(model.path), "-i", str(images / "b.nii.gz"), "-r", str(regions / "b.nii.gz")])
    finally:
        said.undo()
    assert code == 0
    return model, "".join(lines)


def run(cohort: tuple[Path, Path], model: ModelFolder, output: Path, *more: str) -> int:
    given = ("-i", cohort[0], "-r", cohort[1], "-m", model.path, "-o", output, "--quiet", *more)
    return predict([str(g) for g in given])


def numbers(output: Path, table: str, columns: tuple[str, ...]) -> np.ndarray:
    with (output / table).open(newline="", encoding="utf-8") as file:
        return np.array([[float(row[c] or "nan") for c in columns] for row in csv.DictReader(file)])


def expect_the_answers_of_torch(cohort: tuple[Path, Path], model: ModelFolder, output: Path, *more: str) -> np.ndarray:
    """Predict with every backend; returns the probabilities."""
    found = []
    for backend in ("torch", *BACKENDS):
        assert run(cohort, model, output / backend, "--backend", backend, "--device", "cpu", *more) == 0
        found.append(numbers(output / backend, "predictions.csv", ("p_low", "p_high")))
    assert found[1] == pytest.approx(found[0], abs=1e-4)
    assert found[2] == pytest.approx(found[0], abs=1e-4)
    return found[0]


def test_the_command_prints_how_far_each_runtime_is_from_torch_on_the_real_ct(exported):
    model, said = exported
    lines = said.splitlines()
    assert [f"{b} against torch on b" in line for b, line in zip(BACKENDS, lines, strict=True)] == [True, True]
    assert all("fold_0/student.onnx" in line for line in lines)
    assert sorted(p.name for p in model.fold(0).glob("student.onnx*")) == ["student.onnx", "student.onnx.json"]


def test_other_runtimes_give_the_answers_and_explanations_of_torch(exported, cohort, tmp_path):
    model, _ = exported
    for backend in ("torch", *BACKENDS):
        assert run(cohort, model, tmp_path / backend, "--backend", backend, "--device", "cpu") == 0
    for backend in BACKENDS:
        for table, columns in (("predictions.csv", ("p_low", "p_high")), ("regions.csv", ("attention", "importance"))):
            here, there = (numbers(tmp_path / b, table, columns) for b in (backend, "torch"))
            assert here == pytest.approx(there, abs=1e-4, nan_ok=True)
        name = Path("explanation") / "a_explanation.nii.gz"
        here, there = (sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / b / name))) for b in (backend, "torch"))
        assert here == pytest.approx(there, abs=1e-4)
        assert np.ptp(there) > 0


def test_a_student_with_pet_is_exported_too(cohort, tmp_path, capsys):
    images, regions = cohort
    plan = plan_for_tests()
    model = write_model(tmp_path / "model", plan, folds=1)
    model.write_config(ModelConfig("auto", ("CT", "FDG"), 0))
    save_weights(model.student_weights(0), with_opinions(build_student(plan, small_dataset(), ("CT", "FDG"))))
    assert export(["-m", str(model.path), "-i", str(images / "b.nii.gz"), "-r", str(regions / "b.nii.gz")]) == 0
    assert "onnx against torch" in capsys.readouterr().out
    for backend in ("torch", "onnx"):
        assert run(cohort, model, tmp_path / backend, "--backend", backend, "--no_explanation", "--device", "cpu") == 0
    here, there = (numbers(tmp_path / b, "predictions.csv", ("p_low", "p_high")) for b in ("onnx", "torch"))
    assert here == pytest.approx(there, abs=1e-4)


def test_what_was_not_exported_or_has_changed_since_is_refused(exported, cohort, tmp_path, capsys):
    model = ModelFolder(tmp_path / "model")
    shutil.copytree(exported[0].path, model.path)
    weights = with_opinions(build_student(model.plan, model.dataset, ("CT",), seed=9))
    save_weights(model.student_weights(0), weights)
    assert run(cohort, model, tmp_path / "out", "--backend", "onnx") == 2
    assert "student.safetensors: changed since the export" in capsys.readouterr().err
    (model.fold(0) / "student.onnx").unlink()
    assert run(cohort, model, tmp_path / "out", "--backend", "onnx") == 2
    assert "run reactkd_export_onnx first" in capsys.readouterr().err


def test_without_the_package_the_command_says_how_to_install_it(exported, cohort, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert run(cohort, exported[0], tmp_path / "out", "--backend", "onnx") == 2
    assert "pip install 'reactkd_auto[onnx]'" in capsys.readouterr().err


def test_a_ct_in_which_nothing_is_found_cannot_be_checked_on(exported, cohort, capsys):
    assert export(["-m", str(exported[0].path), "-i", str(cohort[0] / "b.nii.gz")]) == 2
    assert "is not classified" in capsys.readouterr().err


def test_a_model_without_regions_is_exported_too(cohort, tmp_path):
    plan = plan_for_tests()
    plan = dataclasses.replace(plan, graph=dataclasses.replace(plan.graph, enabled=False))
    model = write_model(tmp_path / "model", plan, folds=1)
    assert export(["-m", str(model.path), "-i", str(cohort[0] / "b.nii.gz")]) == 0
    expect_the_answers_of_torch(cohort, model, tmp_path)


def test_covariates_are_a_further_input_and_may_be_missing(cohort, tmp_path):
    images, regions = cohort
    plan, dataset = plan_for_tests(), dataclasses.replace(small_dataset(), covariates=COVARIATES)
    model = write_model(tmp_path / "model", plan, folds=1, dataset=dataset)
    model.write_config(ModelConfig("auto", ("CT",), 0, covariates=True))
    student = with_opinions(build_student(plan, dataset, ("CT",), covariates=True), seed=3)
    student.covariates.standardise_by(torch.tensor([[1.0, 0.0], [5.0, 1.0]]))
    with torch.no_grad():
        torch.nn.init.normal_(student.covariates.logits.weight)
    save_weights(model.student_weights(0), student)
    assert export(["-m", str(model.path), "-i", str(images / "b.nii.gz"), "-r", str(regions / "b.nii.gz")]) == 0
    table = tmp_path / "t.csv"
    table.write_text("case,marker,virus\na,4,C\nb,,B\n", encoding="utf-8")
    told = expect_the_answers_of_torch(cohort, model, tmp_path / "told", "-c", str(table))
    untold = expect_the_answers_of_torch(cohort, model, tmp_path / "untold")
    assert (np.abs(told - untold) > 1e-3).all()


def test_an_exported_student_that_forgets_what_is_missing_is_not_written(cohort, tmp_path, monkeypatch, capsys):
    """The check asks with missing values as well as with known ones."""
    from reactkd_auto.inference.exported import api

    images, regions = cohort
    plan, dataset = plan_for_tests(), dataclasses.replace(small_dataset(), covariates=COVARIATES)
    model = write_model(tmp_path / "model", plan, folds=1, dataset=dataset)
    model.write_config(ModelConfig("auto", ("CT",), 0, covariates=True))
    student = with_opinions(build_student(plan, dataset, ("CT",), covariates=True), seed=3)
    with torch.no_grad():
        torch.nn.init.normal_(student.covariates.logits.weight)
    save_weights(model.student_weights(0), student)
    opened = api.open_runtime

    def forgetful(path, backend):
        runtime = opened(path, backend)
        return lambda given: runtime({**given, "covariates": np.nan_to_num(given["covariates"])})

    monkeypatch.setattr(api, "open_runtime", forgetful)
    assert export(["-m", str(model.path), "-i", str(images / "b.nii.gz"), "-r", str(regions / "b.nii.gz")]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert not (model.fold(0) / "student.onnx").exists()
