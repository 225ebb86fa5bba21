"""`pretrain` from preprocessed cases to encoders that training begins with."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
import torch

from reactkd_auto.cases import read_case, read_properties
from reactkd_auto.errors import UserError
from reactkd_auto.networks import build_student, build_teachers, load_state, load_weights
from reactkd_auto.plan import EncoderPlan, write_plan
from reactkd_auto.preprocessing.batch import collate
from reactkd_auto.training import pretrain, train
from reactkd_auto.training.pretrain_command import main
from reactkd_auto.training.pretrain_stage import PretrainingTask, region_classes
from reactkd_auto.training.views import plain_views

from .interrupting import Killed, kill_at


@pytest.fixture(autouse=True)
def _only_training(monkeypatch):
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)
    monkeypatch.setattr("reactkd_auto.training.stages.describe", lambda *_: {"parameters": 1, "flops": 1})
    monkeypatch.setattr("reactkd_auto.training.validation.evaluate", lambda *_, **__: None)


def run(cohort, **options):
    return pretrain(workspace=cohort.workspace, device="cpu", quiet=True, **options)


def weights(folder, role):
    return load_state(folder / f"{role}_encoder.safetensors")


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def beginnings(monkeypatch):
    """Encoders' weights before the first step of each stage of a training."""
    from reactkd_auto.training import student_stage, teachers_stage

    seen: dict[str, dict[str, torch.Tensor]] = {}
    for task in (teachers_stage.TeacherTask, student_stage.StudentTask):

        def step(self, inputs, *, before=task.step, name=task.__name__):
            seen.setdefault(name, {k: v.clone() for k, v in self.module.state_dict().items()})
            return before(self, inputs)

        monkeypatch.setattr(task, "step", step)
    return seen


def part(state, prefix):
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def test_two_encoders_learn_the_regions_of_graded_and_ungraded_cases_and_say_what_they_are(make_cohort):
    cohort = make_cohort()
    folder = run(cohort, epochs=4, iterations=6)
    assert folder == cohort.results / "pretrained_seed0"
    document = json.loads((folder / "pretrained.json").read_text())
    assert document["dataset"] == "Dataset001_Tiny"
    assert document["classes"] == ["background", "organ", "lesion"]
    assert document["cases"] == [f"case_{i:02d}" for i in range(10)]
    assert document["provenance"]["plan_hash"] == cohort.plan.hash
    assert "torch" in document["provenance"]["versions"]
    load_weights(folder / "teacher_encoder.safetensors", build_teachers(cohort.plan, cohort.dataset).dose.encoder)
    load_weights(folder / "student_encoder.safetensors", build_student(cohort.plan, cohort.dataset).branch.encoder)
    for role in ("teacher", "student"):
        losses = [float(line.split(",")[1]) for line in (folder / role / "metrics.csv").read_text().splitlines()[1:]]
        assert losses[-1] < 0.9 * losses[0]


def test_what_is_segmented_are_the_voxels_of_the_node_map(make_cohort):
    cohort = make_cohort()
    plan = cohort.plan
    assert region_classes(plan, cohort.dataset) == ("background", "organ", "lesion")
    case = read_case(cohort.cases, read_properties(cohort.cases, "case_00"))
    views = plain_views(collate([case], plan, cohort.dataset), plan=plan, dataset=cohort.dataset)
    task = PretrainingTask(torch.nn.Identity(), plan=plan, dataset=cohort.dataset, device=torch.device("cpu"))
    views.valid[:, 0, :, :, 8:] = False
    labels, painted, measured = task.labels(views), views.nodes[:, 0], views.valid[:, 0]
    assert torch.equal(labels == 1, (painted == 1) & measured)
    assert torch.equal(labels == 2, (painted > 1) & measured)
    assert (labels == 2).any()
    assert (painted[~measured] > 0).any()


def test_ungraded_only_never_looks_at_a_case_that_a_fold_holds_out(make_cohort, monkeypatch):
    cohort, seen = make_cohort(), set()
    before = PretrainingTask.prepare

    def prepare(self, arrays, moment):
        seen.update(arrays["names"])
        return before(self, arrays, moment)

    monkeypatch.setattr(PretrainingTask, "prepare", prepare)
    folder = run(cohort, ungraded_only=True)
    assert folder.name == "pretrained_ungraded_seed0"
    assert seen == {"case_08", "case_09"}


def test_killed_again_and_again_it_ends_the_same(make_cohort, tmp_path, monkeypatch):
    whole = run(make_cohort(workspace=tmp_path / "whole"))
    cohort = make_cohort(workspace=tmp_path / "killed")
    for target, at in (("pretrain_stage.PretrainingTask.step", 3), ("pretrain_run.write_json", 1)):
        owner = f"reactkd_auto.training.{target}"
        with monkeypatch.context() as patch:
            kill_at(patch, owner, at)
            with pytest.raises(Killed):
                run(cohort)
    folder = run(cohort)
    assert all(same(weights(folder, role), weights(whole, role)) for role in ("teacher", "student"))
    again = (folder / "pretrained.json").stat().st_mtime_ns
    run(cohort)
    assert (folder / "pretrained.json").stat().st_mtime_ns == again


def test_another_length_is_refused_until_it_is_begun_anew(make_cohort):
    cohort = make_cohort()
    run(cohort)
    with pytest.raises(UserError, match="was trained with epochs 2, this run expects 1"):
        run(cohort, epochs=1)
    run(cohort, epochs=1, restart=True)


def test_a_cohort_without_region_maps_is_one_sentence_and_exit_code_2(make_cohort, capsys):
    cohort = make_cohort()
    for path in cohort.cases.glob("case_0[89].json"):
        values = json.loads(path.read_text())
        path.write_text(json.dumps(values | {"node_valid": [False] * len(values["node_valid"])}))
    assert main(["-w", str(cohort.workspace), "--ungraded_only", "--quiet"]) == 2
    assert "found no region map of 2 patients without a grade, expected some" in capsys.readouterr().err


def test_training_begins_with_the_encoders_and_lies_apart_from_the_one_without(make_cohort, beginnings, caplog):
    cohort = make_cohort()
    folder = run(cohort)
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        model = train(0, workspace=cohort.workspace, device="cpu", pretrained=folder)
    assert same(part(beginnings["StudentTask"], "student.branch.encoder."), weights(folder, "student"))
    teacher = weights(folder, "teacher")
    assert same(part(beginnings["TeacherTask"], "dose.encoder."), teacher)
    privileged = part(beginnings["TeacherTask"], "privileged.1.encoder.")
    fitting = {k for k, v in teacher.items() if v.shape == privileged[k].shape}
    assert set(teacher) - fitting == {"stem.0.weight"}
    assert all(torch.equal(privileged[k], teacher[k]) for k in fitting)
    assert f"{len(fitting)} of {len(teacher)} pretrained weights" in caplog.text
    assert "without stem.0.weight" in caplog.text
    assert "pretrained on 4 of its 4 held-out cases" in caplog.text
    assert model.path.name == "auto_pretrained_seed0"
    assert [p.name for p in sorted((cohort.results / "teachers").iterdir())] == ["auto_pretrained_seed0"]
    settings = json.loads((model.fold(0) / "settings.json").read_text())
    assert settings["pretrained"]


def test_other_encoders_than_a_training_was_begun_with_are_refused(make_cohort):
    cohort = make_cohort()
    first, second = run(cohort), run(cohort, ungraded_only=True)
    options = {"workspace": cohort.workspace, "device": "cpu"}
    train(0, **options, preset="baseline", pretrained=first).student_weights(0).unlink()
    with pytest.raises(UserError, match="was trained with pretrained"):
        train(0, **options, preset="baseline", pretrained=second)


def test_encoders_of_another_shape_or_broken_weights_are_refused_before_anything_is_trained(make_cohort):
    cohort = make_cohort()
    folder = run(cohort)
    options = {"workspace": cohort.workspace, "device": "cpu", "pretrained": folder}
    with pytest.raises(UserError, match=r"pretrained.json: holds segres encoders, expected swin ones"):
        train(0, **options, preset="paper")
    network = replace(cohort.plan.network, student=EncoderPlan(16, (1, 1)))
    write_plan(cohort.cases.parent / "plan.json", replace(cohort.plan, network=network))
    with pytest.raises(
        UserError, match=r"pretrained.json: its encoders have student .*8.*, expected .*16.* as planned"
    ):
        train(0, **options)
    write_plan(cohort.cases.parent / "plan.json", cohort.plan)
    (folder / "student_encoder.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"student_encoder.safetensors: not the weights that pretrained.json names"):
        train(0, **options)
    assert not (cohort.results / "auto_pretrained_seed0").exists()
