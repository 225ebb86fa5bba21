"""A batch that is learnt from in parts, or shared by processes, is learnt from as a whole."""

from __future__ import annotations

import csv
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reactkd_auto.cases import read_case
from reactkd_auto.networks import build_teachers
from reactkd_auto.networks.standardise import RunningStandardisation
from reactkd_auto.preprocessing.batch import collate
from reactkd_auto.ranks import ALONE, Ranks
from reactkd_auto.training import student_stage, teachers_stage
from reactkd_auto.training.group import joined
from reactkd_auto.training.loader import split
from reactkd_auto.training.loop import Job, train_stage
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.run import Run
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.training.shares import shares, weighted_sum
from reactkd_auto.training.stop import StopRequest
from reactkd_auto.training.tutors import Tutors
from reactkd_auto.workspace import open_workspace

SCHEDULE = Schedule(epochs=2, iterations=1, learning_rate=1e-3, weight_decay=0.01, ema_decay=0.9)
LABELS = (0, -1, -1, -1, 1, 0, 1, 0)
TRACER = (True, False, True, True, True, False, False, True)
CLASS_WEIGHTS = (0.4, 2.0)
ROUNDING = 1e-4


@pytest.fixture(autouse=True)
def _only_masked_means(monkeypatch):
    """Running statistics do follow the parts, by a decay, so they are left out; and drawing takes long."""
    monkeypatch.setattr(RunningStandardisation, "observe", lambda *_: None)
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)


@pytest.fixture
def make_run(make_cohort):
    """A run of a preset with class weights, whose teachers hide channels from the first iteration on."""

    def make(preset: str) -> Run:
        run = open_run(
            open_workspace(make_cohort().workspace),
            preset=replace(read_preset(preset), classification="focal"),
            teachers="in_sample",
            device="cpu",
            quiet=True,
        )
        return replace(run, plan=replace(run.plan, batch_size=len(LABELS), class_balance="class_weights"))

    return make


def uneven_batch(run: Run) -> dict[str, Any]:
    """Few are graded, some lack the tracer, the cases have different numbers of nodes, some none."""
    names = sorted(run.cases)[: len(LABELS)]
    arrays = vars(collate([read_case(run.case_folder, run.cases[name]) for name in names], run.plan, run.dataset))
    present, nodes = arrays["present"].clone(), arrays["node_valid"].clone()
    present[:, 1] = torch.tensor(TRACER)
    nodes[0], nodes[3] = False, False
    for sample in (1, 2, 5):  # they keep their first node alone
        nodes[sample] &= nodes[sample].cumsum(0) == 1
    return {"names": names, **arrays, "label": torch.tensor(LABELS), "present": present, "node_valid": nodes}


def new_task(run: Run, stage: str) -> Any:
    """A task whose weights, biases of the last layers included, are all random."""
    with torch.random.fork_rng():
        if stage == "teachers":
            task = teachers_stage.new_task(run, (0,), [])
            task.recipe = replace(task.recipe, modality_dropout_warmup=0.0)
        else:
            teachers = randomised(build_teachers(run.plan, run.dataset, channels_last=True)).eval()
            tutors = Tutors(teachers.requires_grad_(False), {}, dict.fromkeys(run.cases, 1))
            task = student_stage.new_task(run, 0, tutors, [])
        randomised(task.module)
    task.label_loss = replace(task.label_loss, weights=torch.tensor(CLASS_WEIGHTS))
    task.watch = lambda average: {}
    return task


@torch.no_grad()
def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(5)
    for parameter in module.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def learn(run: Run, stage: str, folder: Path, *, parts: int, ranks: Ranks = ALONE) -> nn.Module:
    """Two iterations on one batch, whose metrics and weights ``folder`` holds afterwards."""
    arrays, _ = split(uneven_batch(run), parts=ranks.count)[ranks.rank]
    task = new_task(run, stage)
    job = Job(
        task=task,
        schedule=SCHEDULE,
        batches=lambda first: (arrays for _ in range(SCHEDULE.total)),
        split=partial(split, parts=parts),
        folder=folder,
        title=stage,
        seed=0,
        stage=0,
        settings={},
        device=run.device,
        ranks=ranks,
    )
    with StopRequest() as stop:
        train_stage(job, stop)
    return task.module


def losses(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(file)]


def gradients(module: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def weights(folder: Path) -> Tensor:
    model = torch.load(folder / "latest.pt", weights_only=True)["model"]
    return torch.cat([v.double().flatten() for v in model.values()])


def assert_same(ours: Path, theirs: Path) -> None:
    for row, other in zip(losses(ours), losses(theirs), strict=True):
        assert row == pytest.approx(other, rel=ROUNDING, abs=1e-6)
    a, b = weights(ours), weights(theirs)
    assert (a - b).norm() <= ROUNDING * b.norm()


LEARNERS = [
    ("teachers", "auto"),
    ("student", "auto"),
    ("student", "paper"),
    ("student", "fitnet"),
    ("student", "fgw"),
    ("student", "at"),
]


@pytest.mark.parametrize(("stage", "preset"), LEARNERS)
def test_losses_gradients_and_weights_do_not_depend_on_the_parts(make_run, tmp_path, stage, preset):
    run = make_run(preset)
    whole = gradients(learn(run, stage, tmp_path / "1", parts=1))
    for parts in (2, 4):
        found = gradients(learn(run, stage, tmp_path / str(parts), parts=parts))
        assert_same(tmp_path / str(parts), tmp_path / "1")
        assert (found - whole).norm() <= ROUNDING * whole.norm()


def test_one_part_of_one_process_weighs_exactly_one_and_nothing_where_nothing_counts():
    (share,) = shares([3], [{"labels": torch.tensor(0.7), "node": torch.tensor(0)}])
    found = share.of({"labels": torch.tensor(0.1), "node": torch.tensor(0.0), "kl": torch.tensor(0.3)})
    assert found == {"labels": torch.tensor(0.1), "node": torch.tensor(0.0), "kl": torch.tensor(0.3)}


def test_parts_weigh_by_what_counts_in_them_else_by_their_samples():
    few, many = shares([1, 3], [{"labels": torch.tensor(1.5)}, {"labels": torch.tensor(0.5)}])
    one = {"labels": torch.tensor(1.0), "kl": torch.tensor(1.0)}
    assert few.of(one) == {"labels": torch.tensor(0.75), "kl": torch.tensor(0.25)}
    assert many.of(one) == {"labels": torch.tensor(0.25), "kl": torch.tensor(0.75)}


def test_losses_without_a_weight_are_told_but_not_minimised():
    losses = {"labels": torch.tensor(1.0), "told": torch.tensor(5.0), "kl": torch.tensor(2.0)}
    assert weighted_sum(losses, {"labels": 0.5, "kl": 2.0, "absent": 1.0}) == 4.5


def member(rank: int, work: Any, port: int) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "localhost"}
    with joined("cpu") as ranks:
        work(ranks=ranks)


def in_two_processes(work: Any) -> Sequence[int | None]:
    """Exit codes of two forked processes that do the work together."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = int(probe.getsockname()[1])
    both = [get_context("fork").Process(target=member, args=(rank, work, port)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    return [process.exitcode for process in both]


@pytest.mark.parametrize("stage", ["teachers", "student"])
def test_two_processes_that_learn_in_two_parts_each_learn_what_one_does_from_the_whole(make_run, tmp_path, stage):
    run = make_run("auto")
    learn(run, stage, tmp_path / "alone", parts=1)
    assert in_two_processes(partial(learn, run, stage, tmp_path / "two", parts=2)) == [0, 0]
    assert_same(tmp_path / "two", tmp_path / "alone")
