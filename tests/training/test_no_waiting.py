"""No training step waits for its device: it is run on the meta device, whose values nobody can read.

Branching on a value, shapes that depend on values, and copies that the host waits for would all fail or be seen.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reactkd_auto.cases import read_case
from reactkd_auto.networks import build_teachers
from reactkd_auto.preprocessing.batch import collate
from reactkd_auto.training import localiser_stage, pretrain_stage, student_stage, teachers_stage
from reactkd_auto.training.loader import split
from reactkd_auto.training.loop import Job, train_stage
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.run import Run
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.stop import StopRequest
from reactkd_auto.training.tutors import Panel, Tutors
from reactkd_auto.workspace import open_workspace

META = torch.device("meta")


class Copies(TorchDispatchMode):
    """Copies between devices that the host waits for, and how many it does not wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[str] = []
        self.others = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name in ("_to_copy", "copy_") and isinstance(result, torch.Tensor):
            source = args[1] if name == "copy_" else args[0]
            if source.device != result.device:
                asynchronous = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
                if asynchronous:
                    self.others += 1
                else:
                    self.waited.append(f"{name} {tuple(source.shape)} to {result.device}")
        return result


SCHEDULE = Schedule(1, 3, 1e-3, 1e-2, 0.9)


@pytest.fixture(autouse=True)
def _mixed_precision_of_no_device(monkeypatch):
    """PyTorch knows autocast of real devices only."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


def a_run(cohort, preset: str) -> Run:
    run = open_run(
        open_workspace(cohort.workspace),
        preset=read_preset(preset),
        teachers="in_sample",
        device="cpu",
        quiet=True,
    )
    return replace(run, device=META)


def arrays_of(run: Run) -> dict[str, Any]:
    """Two parts of two cases; in one a case lacks the tracer, whose branch runs for the other case alone."""
    names = ["case_01", "case_07", "case_03", "case_05"]
    cases = [read_case(run.case_folder, run.cases[name]) for name in names]
    return {"names": names, **vars(collate(cases, run.plan, run.dataset))}


def assert_nothing_waits(run: Run, task: Any, arrays: dict[str, Any], folder: Path) -> None:
    """Whole iterations of the loop; what is read at the end of the epoch is the first to fail."""
    steps, step = [], task.step

    def counted(inputs: Any) -> dict[str, torch.Tensor]:
        steps.append(inputs)
        return step(inputs)

    task.step = counted
    job = Job(
        task=task,
        schedule=SCHEDULE,
        batches=lambda first: (arrays for _ in range(SCHEDULE.total)),
        split=partial(split, parts=2),
        folder=folder,
        title="nothing",
        seed=0,
        stage=0,
        settings={},
        device=META,
    )
    with Copies() as copies, StopRequest() as stop, pytest.raises((RuntimeError, NotImplementedError)) as caught:
        train_stage(job, stop)
    assert "finish_epoch" in [entry.name for entry in caught.traceback]
    assert len(steps) == 2 * SCHEDULE.total
    assert copies.others >= 2 * SCHEDULE.total
    assert copies.waited == []


def test_a_step_of_the_teachers_waits_for_nothing(make_cohort, tmp_path):
    run = a_run(make_cohort(), "auto")
    assert_nothing_waits(run, teachers_stage.new_task(run, (0,), []), arrays_of(run), tmp_path)


@pytest.mark.parametrize("preset", ["auto", "fitnet", "cirkd", "entropy", "ca_mkd", "mtcm"])
def test_a_step_of_the_student_waits_for_nothing(make_cohort, tmp_path, preset):
    run = a_run(make_cohort(), preset)
    arrays = arrays_of(run)
    teachers = build_teachers(run.plan, run.dataset, channels_last=True).to(META).eval().requires_grad_(False)
    heads = ("fused",) if run.preset.weighting == "fused" else ("fused", "structure", "dose")
    panel = Panel(heads, run.preset.weighting, run.preset.temperature, None)
    tutors = Tutors(teachers, {1: teachers}, {"case_01": 1, "case_07": 0, "case_03": 0, "case_05": 1}, panel)
    assert_nothing_waits(run, student_stage.new_task(run, 0, tutors, []), arrays, tmp_path)


def test_a_step_of_the_localiser_waits_for_nothing(make_cohort, tmp_path):
    cohort = make_cohort(localiser=True)
    run = a_run(cohort, "auto")
    cases = [run.cases["case_01"], run.cases["case_03"]]
    feed = localiser_stage.localiser_feed(cohort.cases, cases, run.plan, run.dataset)
    arrays = feed.load(cases, Moment(0, 0, 0))
    assert_nothing_waits(run, localiser_stage.new_task(run, []), arrays, tmp_path)


def test_a_step_of_pretraining_waits_for_nothing(make_cohort, tmp_path):
    run = a_run(make_cohort(), "auto")
    assert_nothing_waits(run, pretrain_stage.new_task(run, run.plan.network.student), arrays_of(run), tmp_path)
