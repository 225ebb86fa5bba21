"""The memory that a plan predicts against a real training step: the log of a CPU's allocator, and a GPU's peak."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import accumulate, product
from pathlib import Path

import pytest
import torch

from reactkd_auto.networks import build_teachers
from reactkd_auto.networks.cost import student_cost, teachers_cost
from reactkd_auto.networks.precision import CudaAutocast
from reactkd_auto.plan import EncoderPlan, GraphPlan, NetworkPlan, StepCost, Triple
from reactkd_auto.preprocessing.batch import collate
from reactkd_auto.regions.slots import node_slots
from reactkd_auto.training import student_stage, teachers_stage
from reactkd_auto.training.loader import split
from reactkd_auto.training.loop import Job, train_stage
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.run import Run
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.training.stop import StopRequest
from reactkd_auto.training.tutors import Tutors
from reactkd_auto.workspace import open_workspace
from tests.builders import random_case

SCHEDULE = Schedule(1, 2, 1e-3, 1e-2, 0.9)
"""Two iterations: the second has an optimiser with moments."""
FULL, HALVED = ((1, 1, 1), (1, 2, 2), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))
SHAPES = {
    "one tracer": {},
    "checkpointed": {"checkpointing": True},
    "in parts": {"batch": 4, "parts": 2},
    "no tracer": {"tracers": 0, "batch": 5},
    "three tracers": {"tracers": 3},
    "all stages pooled": {"pooled": (0, 1, 2), "patch": (16, 32, 48)},
    "coarse stem": {"strides": HALVED, "pooled": (0, 1), "patch": (32, 48, 48), "width": 32, "embedding": 32},
    "checkpointed, in parts": {"checkpointing": True, "batch": 6, "parts": 3, "tracers": 2, "patch": (16, 32, 48)},
}
QUICK = (("one tracer", "float32"), ("checkpointed", "mixed"))
TOLERANCE = 0.15


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch):
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)


@pytest.fixture
def make_run(make_cohort):
    """A run by a plan of a given shape."""

    def make(
        *,
        planned_for: str,
        device: str = "cpu",
        tracers: int = 1,
        patch: Triple = (16, 32, 32),
        strides: tuple[Triple, ...] = FULL,
        pooled: tuple[int, ...] = (0,),
        width: int = 16,
        embedding: int = 16,
        batch: int = 2,
        parts: int = 1,
        checkpointing: bool = False,
    ) -> Run:
        run = open_run(
            open_workspace(make_cohort(tracers=tracers).workspace),
            preset=read_preset("auto"),
            teachers="in_sample",
            device=device,
            quiet=True,
        )
        teacher, student = EncoderPlan(width, (1, 2, 2)[: len(strides)]), EncoderPlan(width // 2, (1,) * len(strides))
        plan = replace(
            run.plan,
            device=planned_for,
            patch_size=patch,
            network=NetworkPlan(strides, teacher, student, embedding, pooled),
            graph=GraphPlan(True, True, (1, 1, 2), 3, "merged", 5.0, True, (), 65.0, 20.0),
            batch_size=batch,
            accumulation_steps=parts,
            checkpointing=checkpointing,
        )
        return replace(run, plan=plan)

    return make


def train(run: Run, stage: str, folder: Path) -> None:
    """Two iterations of a stage on one batch, every channel present; all tensors are made inside."""
    slots = len(node_slots(run.plan.graph, run.dataset))
    names = list(run.cases)[: run.plan.batch_size]
    cases = [random_case(name, plan=run.plan, dataset=run.dataset, slots=slots) for name in names]
    arrays = {"names": names, **vars(collate(cases, run.plan, run.dataset))}
    if run.plan.device == "cpu":  # arrays of NumPy's allocator, which the log does not show
        arrays = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in arrays.items()}
    if stage == "teachers":
        task = teachers_stage.new_task(run, (0,), [])
        task.recipe = replace(task.recipe, modality_dropout=0.0)
    else:
        teachers = build_teachers(run.plan, run.dataset, channels_last=True).to(run.device).eval().requires_grad_(False)
        task = student_stage.new_task(run, 0, Tutors(teachers, {}, dict.fromkeys(names, 1)), [])
    task.watch = lambda average: {}
    job = Job(
        task=task,
        schedule=SCHEDULE,
        batches=lambda first: (arrays for _ in range(SCHEDULE.total)),
        folder=folder,
        title=stage,
        seed=0,
        stage=0,
        settings={},
        device=run.device,
        split=partial(split, parts=run.plan.accumulation_steps),
    )
    with StopRequest() as stop:
        train_stage(job, stop)


def allocated(work: Callable[[], None]) -> int:
    """Peak of the bytes that the CPU's allocator gives out, as its own log says."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    log = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(e.nbytes() for e in sorted(log, key=lambda e: e.start_ns())))


def predicted(run: Run, stage: str) -> StepCost:
    return {"teachers": teachers_cost, "student": student_cost}[stage](run.plan, run.dataset)


@pytest.mark.parametrize("stage", ["teachers", "student"])
@pytest.mark.parametrize(
    ("shape", "precision"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in product(SHAPES, ("float32", "mixed"))
    ],
)
def test_predicted_memory_is_what_a_cpu_allocates_in_a_training_step(make_run, shape, precision, stage, tmp_path):
    """Mixed: the precision that a GPU would use, forced on a CPU."""
    run = make_run(planned_for="cpu" if precision == "float32" else "cuda", **SHAPES[shape])

    def work() -> None:
        with nullcontext() if precision == "float32" else CudaAutocast():
            train(run, stage, tmp_path)

    assert predicted(run, stage).peak == pytest.approx(allocated(work), rel=TOLERANCE)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("stage", ["teachers", "student"])
@pytest.mark.parametrize("shape", SHAPES)
def test_predicted_memory_is_what_a_gpu_allocates(make_run, shape, stage, tmp_path):
    larger = {"patch": (64, 96, 96), "width": 32, "embedding": 64}
    run = make_run(planned_for="cuda", device="cuda", **{**SHAPES[shape], **larger})
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    train(run, stage, tmp_path)
    assert predicted(run, stage).peak == pytest.approx(torch.cuda.max_memory_allocated(), rel=TOLERANCE)
