"""`train` from preprocessed cases to a model folder, on tiny data."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reactkd_auto.errors import Interrupted, UserError
from reactkd_auto.networks import load_state
from reactkd_auto.plan import write_plan
from reactkd_auto.training import train
from reactkd_auto.training.command import main

from .interrupting import Killed, kill_at


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch):
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def _no_counting(monkeypatch, request):
    """Counting operations takes longer than training such networks."""
    if "tracers" not in request.fixturenames:
        size = {"parameters": 1, "flops": 1}
        monkeypatch.setattr("reactkd_auto.training.stages.describe", lambda *_: size)


@pytest.fixture(autouse=True)
def evaluated(monkeypatch):
    """Evaluation has tests of its own; here only that it was asked."""
    asked: list[Path] = []
    monkeypatch.setattr("reactkd_auto.training.validation.evaluate", lambda p, labels, out, **_: asked.append(out))
    return asked


def run(cohort, fold=0, **options):
    return train(fold, workspace=cohort.workspace, device="cpu", **options)


def same_weights(a: Path, b: Path) -> bool:
    x, y = load_state(a), load_state(b)
    return x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_encoders_that_a_step_runs_are_compiled_if_asked_for_with_the_result_of_others(make_cohort, monkeypatch):
    compiled: list[torch.nn.Module] = []

    def compile(self: torch.nn.Module) -> None:
        compiled.append(self)

    monkeypatch.setattr(torch.nn.Module, "compile", compile)
    cohort = make_cohort()
    plain = run(cohort).fold(0)
    assert compiled == []
    fused = run(make_cohort(workspace=cohort.workspace.parent / "compiled"), compile=True).fold(0)
    assert len(compiled) == 2 + 1 + 2  # teachers with a tracer's branch and the dose's, the student, its own teachers
    assert same_weights(plain / "student.safetensors", fused / "student.safetensors")


@pytest.mark.slow
def test_compiled_encoders_train_to_the_same_losses(make_cohort, tmp_path):
    plain = run(make_cohort(workspace=tmp_path / "a"), preset="baseline", epochs=2, iterations=3).fold(0)
    fused = run(make_cohort(workspace=tmp_path / "b"), preset="baseline", epochs=2, iterations=3, compile=True).fold(0)
    for a, b in zip(rows(plain / "metrics.csv"), rows(fused / "metrics.csv"), strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-3)


@pytest.mark.parametrize("tracers", [0, 2])
def test_a_fold_ends_as_a_model_folder_with_held_out_predictions(make_cohort, tracers, caplog):
    cohort = make_cohort(tracers=tracers, localiser=True)
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        model = run(cohort)
    assert model.finished_folds() == [0]
    assert model.plan.hash == cohort.plan.hash
    assert model.dataset == cohort.dataset
    assert model.config.channels == ("CT",)
    fold = model.fold(0)
    names = {"student.safetensors", "localiser.safetensors", "latest.pt", "training.log", "metrics.csv", "run.json"}
    assert names <= {p.name for p in fold.iterdir()}
    assert json.loads((fold / "networks.json").read_text())["student"]["parameters"] > 0
    predictions = rows(fold / "validation" / "predictions.csv")
    assert [r["case"] for r in predictions] == ["case_00", "case_02", "case_04", "case_06"]
    assert all(float(r["p_benign"]) + float(r["p_malignant"]) == pytest.approx(1, abs=2e-6) for r in predictions)
    assert [r["label"] for r in rows(fold / "validation" / "labels.csv")] == ["benign", "malignant"] * 2
    heads = {"teacher", *(("structure_teacher", "dose_teacher") if tracers else ())}
    found = {p.name for p in (fold / "validation").glob("*teacher_predictions.csv")}
    assert found == {f"{head}_predictions.csv" for head in heads}
    assert ("the structure-function teacher is off" in caplog.text) == (tracers == 0)
    metrics = rows(cohort.results / "teachers" / "auto_seed0" / "without_0" / "metrics.csv")
    assert ("structure" in metrics[0]) == (tracers > 0)
    assert "consistency" in metrics[0]


def test_a_shape_without_hounsfield_units_trains_without_dose(make_cohort):
    cohort = make_cohort(tracers=0, base="binary_mask")
    run(cohort)
    metrics = rows(cohort.results / "teachers" / "auto_seed0" / "without_0" / "metrics.csv")
    assert "consistency" not in metrics[0]


def test_the_baseline_needs_no_teacher_and_learns_from_graded_cases_only(make_cohort, monkeypatch):
    cohort, loaded = make_cohort(), set()

    def remember(folder, properties, *window):
        loaded.add(properties.case)
        return read_case(folder, properties, *window)

    from reactkd_auto.cases import read_case

    monkeypatch.setattr("reactkd_auto.training.loader.read_case", remember)
    model = run(cohort, preset="baseline", epochs=3, iterations=4)
    assert model.path.name == "baseline_seed0"
    assert not (cohort.results / "teachers" / "auto_seed0" / "without_0" / "teachers.safetensors").exists()
    assert loaded == {"case_01", "case_03", "case_05", "case_07"}


def test_ungraded_cases_take_part_in_distillation_only(make_cohort, monkeypatch):
    cohort = make_cohort()
    seen: dict[str, set[str]] = {"teachers": set(), "student": set()}
    from reactkd_auto.training import student_stage, teachers_stage

    for name, task in (("teachers", teachers_stage.TeacherTask), ("student", student_stage.StudentTask)):

        def prepare(self, arrays, moment, *, before=task.prepare, into=seen[name]):
            into.update(arrays["case"])
            return before(self, arrays, moment)

        monkeypatch.setattr(task, "prepare", prepare)
    run(cohort, iterations=6)
    graded = {"case_01", "case_03", "case_05", "case_07"}
    assert seen["teachers"] == graded
    assert seen["student"] == graded | {"case_08", "case_09"}


def test_the_same_seed_gives_the_same_student_and_another_seed_another(make_cohort, tmp_path):
    paths = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        model = run(make_cohort(workspace=tmp_path / name), seed=seed)
        paths.append(model.student_weights(0))
    assert same_weights(paths[0], paths[1])
    assert not same_weights(paths[0], paths[2])
    predictions = [p.parent / "validation" / "predictions.csv" for p in paths]
    assert predictions[0].read_text() == predictions[1].read_text()


def test_a_second_call_says_that_the_fold_is_finished_and_restart_repeats_it(make_cohort, caplog):
    cohort = make_cohort()
    weights = run(cohort).student_weights(0)
    before = weights.read_bytes(), weights.stat().st_mtime_ns
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        run(cohort)
    assert "fold 0 is finished" in caplog.text
    assert weights.stat().st_mtime_ns == before[1]
    run(cohort, restart=True)
    assert weights.stat().st_mtime_ns != before[1]
    assert weights.read_bytes() == before[0]


def test_a_finished_fold_is_not_taken_for_one_of_another_length(make_cohort):
    cohort = make_cohort()
    fold = run(cohort, epochs=1, iterations=1).fold(0)
    before = {name: (fold / name).read_bytes() for name in ("run.json", "settings.json", "student.safetensors")}
    with pytest.raises(UserError, match=r"fold_0: was trained with epochs 1, this run expects 2; .* --restart"):
        run(cohort, epochs=2, iterations=1)
    assert {name: (fold / name).read_bytes() for name in before} == before


def test_all_folds_are_pooled_and_teachers_are_shared_between_presets(make_cohort, evaluated):
    cohort = make_cohort()
    model = run(cohort, fold="all")
    assert model.finished_folds() == [0, 1]
    pooled = rows(model.path / "cross_validation" / "predictions.csv")
    assert sorted(r["case"] for r in pooled) == [f"case_{i:02d}" for i in range(8)]
    assert {r["fold"] for r in pooled} == {"0", "1"}
    assert model.path / "cross_validation" in evaluated
    assert model.path / "cross_validation" / "teacher" in evaluated
    told = model.path / "readiness.json", cohort.results / "teachers" / "auto_seed0" / "readiness.json"
    readiness = json.loads(told[0].read_text())
    assert readiness["n_cases"] + readiness["n_without_privileged"] == 8
    assert readiness["verdict"] == "cannot_be_told"
    assert told[1].read_text() == told[0].read_text()


def test_cross_fitted_teachers_leave_out_pairs_of_folds_and_serve_both_folds_students(make_cohort, caplog):
    cohort = make_cohort(folds=3)
    run(cohort, 0)
    assert "of 3 folds those that leave out two have few cases" in caplog.text
    teachers = cohort.results / "teachers" / "auto_seed0"
    assert sorted(p.name for p in teachers.glob("without_*")) == ["without_0", "without_0_1", "without_0_2"]
    before = (teachers / "without_0_1" / "teachers.safetensors").stat().st_mtime_ns
    model = run(cohort, 1)
    assert sorted(p.name for p in teachers.glob("without_*"))[2:] == ["without_0_2", "without_1", "without_1_2"]
    assert (teachers / "without_0_1" / "teachers.safetensors").stat().st_mtime_ns == before
    assert model.path.name == "auto_seed0"
    in_sample = run(cohort, 0, teachers="in_sample")
    assert in_sample.path.name == "auto_in_sample_seed0"
    assert not same_weights(model.student_weights(0), in_sample.student_weights(0))


def test_cross_fitting_two_folds_is_refused_where_it_is_asked_for_and_else_given_up(make_cohort, caplog):
    cohort = make_cohort()
    with pytest.raises(UserError, match="found 2 folds, expected at least 3"):
        run(cohort, teachers="cross_fitted")
    assert run(cohort).path.name == "auto_seed0"
    assert "teachers are in_sample: 2 folds are too few" in caplog.text


def test_other_lengths_are_refused_for_a_begun_fold_and_for_shared_teachers(make_cohort):
    cohort = make_cohort()
    model = run(cohort)
    model.student_weights(0).unlink()
    with pytest.raises(UserError, match=r"without_0: was trained with epochs 2, this run expects 1.*--restart"):
        run(cohort, epochs=1)
    run(cohort, epochs=1, restart=True)


@pytest.mark.parametrize(("epochs", "teacher_epochs"), [(3, 2), (9, 4)])
def test_teachers_see_a_case_as_often_as_the_student_does_and_no_more_than_planned(make_cohort, epochs, teacher_epochs):
    cohort = make_cohort(localiser=True)
    planned = replace(cohort.plan.training, teacher_epochs=2, iterations_per_epoch=2, graded_share=0.5)
    write_plan(cohort.cases.parent / "plan.json", replace(cohort.plan, training=planned))
    model = run(cohort, epochs=epochs, iterations=1)
    teachers = cohort.results / "teachers" / "auto_seed0" / "without_0"
    metrics = (teachers, teachers / "localiser", model.fold(0))
    assert [len(rows(folder / "metrics.csv")) for folder in metrics] == [teacher_epochs, epochs, epochs]


def test_teachers_that_leave_out_two_folds_see_each_case_as_often_as_those_that_leave_out_one(make_cohort):
    cohort = make_cohort(folds=4)
    run(cohort, epochs=3, iterations=1, teachers="cross_fitted")
    teachers = cohort.results / "teachers" / "auto_seed0"
    assert {folder.name: len(rows(folder / "metrics.csv")) for folder in teachers.glob("without_*")} == {
        "without_0": 3,
        "without_0_1": 2,
        "without_0_2": 2,
        "without_0_3": 2,
    }


def test_a_begun_student_is_not_continued_with_another_localiser(make_cohort, monkeypatch):
    cohort = make_cohort(localiser=True)
    with monkeypatch.context() as patch:
        kill_at(patch, "reactkd_auto.training.student_stage.StudentTask.step", 2)
        with pytest.raises(Killed):
            run(cohort)
    run(cohort, preset="baseline", epochs=3, restart=True)
    with pytest.raises(UserError, match=r"fold_0: was trained with localiser .*, this run expects .*--restart"):
        run(cohort)


def test_a_begun_student_is_not_continued_with_other_teachers(make_cohort, monkeypatch):
    cohort = make_cohort()
    run(cohort, seed=1)
    with monkeypatch.context() as patch:
        kill_at(patch, "reactkd_auto.training.student_stage.StudentTask.step", 2)
        with pytest.raises(Killed):
            run(cohort)
    teachers = [cohort.results / "teachers" / f"auto_seed{s}" / "without_0" / "teachers.safetensors" for s in (0, 1)]
    teachers[0].write_bytes(teachers[1].read_bytes())
    with pytest.raises(UserError, match=r"fold_0: was trained with teachers .*, this run expects .*--restart"):
        run(cohort)


def test_killed_again_and_again_in_every_stage_it_ends_the_same(make_cohort, tmp_path, monkeypatch):
    whole = run(make_cohort(workspace=tmp_path / "whole", localiser=True))
    cohort = make_cohort(workspace=tmp_path / "killed", localiser=True)
    stages = "reactkd_auto.training"
    for target, at in (
        (f"{stages}.localiser_stage.LocaliserTask.step", 3),
        (f"{stages}.stages.save_weights", 1),
        (f"{stages}.automatic_regions_stage.write_automatic", 3),
        (f"{stages}.teachers_stage.TeacherTask.step", 2),
        (f"{stages}.teachers_stage.TeacherTask.step", 4),
        (f"{stages}.stages.save_weights", 1),
        (f"{stages}.student_stage.StudentTask.step", 4),
        (f"{stages}.stages.save_weights", 1),
        (f"{stages}.validation.write_labels", 1),
    ):
        with monkeypatch.context() as patch:
            kill_at(patch, target, at)
            with pytest.raises(Killed):
                run(cohort)
    model = run(cohort)
    assert same_weights(model.student_weights(0), whole.student_weights(0))
    assert same_weights(model.localiser_weights(0), whole.localiser_weights(0))
    results = [m.fold(0) / "validation" / "predictions.csv" for m in (model, whole)]
    assert results[0].read_text() == results[1].read_text()


def test_a_signal_while_training_stops_with_a_sentence_and_the_next_call_continues(make_cohort, monkeypatch):
    cohort = make_cohort()
    from reactkd_auto.training.student_stage import StudentTask

    before = StudentTask.step

    def step(self, inputs):
        os.kill(os.getpid(), signal.SIGINT)
        return before(self, inputs)

    with monkeypatch.context() as patch:
        patch.setattr(StudentTask, "step", step)
        with pytest.raises(Interrupted, match=r"SIGINT after 1 of 4 iterations of fold 0, student \(auto\)"):
            run(cohort)
    assert run(cohort).finished_folds() == [0]


def test_two_processes_do_not_train_the_same_fold(make_cohort):
    from reactkd_auto.lock import locked

    cohort = make_cohort()
    with locked(cohort.results / "auto_seed0" / "fold_0"), pytest.raises(UserError, match="another process"):
        run(cohort)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["7"], "fold 7: expected 0…1, or all."),
        (["0", "--epochs", "0"], "--epochs 0: expected at least 1."),
        (["0", "-d", "9"], "no dataset fit '9'"),
        (["0", "-p", "other"], "other.json: file not found"),
        (["0", "--pretrained", __file__], "pretrained.json: not readable (Not a directory), expected a JSON document."),
        (["0", "--num_gpus", "0"], "--num_gpus 0: expected at least 1."),
    ],
)
def test_mistakes_on_the_command_line_are_one_sentence_and_exit_code_2(make_cohort, capsys, arguments, sentence):
    cohort = make_cohort()
    assert main([*arguments, "-w", str(cohort.workspace), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_a_seed_below_zero_is_refused(make_cohort):
    cohort = make_cohort()
    with pytest.raises(UserError, match="--seed -1: expected 0 or more"):
        run(cohort, seed=-1)


def test_a_case_that_is_not_preprocessed_is_named(make_cohort, capsys):
    cohort = make_cohort()
    (cohort.cases / "case_03.json").unlink()
    assert main(["0", "-w", str(cohort.workspace)]) == 2
    assert "1 cases are not preprocessed (first case_03), expected all 10" in capsys.readouterr().err


def test_folds_that_are_not_the_plan_s_are_refused(make_cohort, capsys):
    cohort = make_cohort()
    path = cohort.cases.parent / "splits.json"
    path.write_text(path.read_text().replace('"case_03": 1', '"case_03": 0'))
    assert main(["0", "-w", str(cohort.workspace)]) == 2
    assert "splits.json: not the folds of plan.json" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_command_killed_and_called_again_ends_as_if_nothing_had_happened(make_cohort, tmp_path, number):
    def start(cohort) -> subprocess.Popen[str]:
        options = ["0", "-w", str(cohort.workspace), "--device", "cpu", "--epochs", "8"]
        command = [sys.executable, "-m", "reactkd_auto.training.command", *options]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    whole, cohort = (make_cohort(workspace=tmp_path / name) for name in ("whole", "killed"))
    assert start(whole).communicate(timeout=300)
    process = start(cohort)
    latest = cohort.results / "teachers" / "auto_seed0" / "without_0" / "latest.pt"
    deadline = time.monotonic() + 120
    while not latest.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    if number == signal.SIGTERM:
        assert process.returncode == 128 + number
        assert "stopped by SIGTERM" in error
        assert "Traceback" not in error
    again = start(cohort)
    again.communicate(timeout=300)
    assert again.returncode == 0
    weights = [c.results / "auto_seed0" / "fold_0" / "student.safetensors" for c in (whole, cohort)]
    assert same_weights(*weights)
