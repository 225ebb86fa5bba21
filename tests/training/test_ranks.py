"""Several processes that share every batch train what one process trains; gloo on a CPU."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from reactkd_auto.errors import Interrupted, UserError
from reactkd_auto.networks.standardise import RunningStandardisation
from reactkd_auto.plan import write_plan
from reactkd_auto.ranks import ALONE, RankLost, Ranks
from reactkd_auto.training import train
from reactkd_auto.training.group import joined
from reactkd_auto.training.launch import GroupEnded, arguments, launch
from reactkd_auto.training.loop import Job, train_stage
from reactkd_auto.training.losses.masked import masked_mean
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.stop import StopRequest
from reactkd_auto.workspace import open_workspace

SCHEDULE = Schedule(epochs=2, iterations=3, learning_rate=0.05, weight_decay=0.01, ema_decay=0.9)
SAMPLES = 8


class Uneven:
    """Frozen weights, running statistics, a loss over few samples, and a branch that only some samples reach."""

    weights: ClassVar = {"loss": 1.0}

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.module = nn.ModuleDict(
                {
                    "frozen": nn.Linear(4, 4).requires_grad_(False),
                    "statistics": RunningStandardisation(4, decay=0.9),
                    "head": nn.Linear(4, 1),
                    "branch": nn.Linear(4, 1),
                    "idle": nn.Linear(4, 1),
                }
            )

    def prepare(self, batch: Tensor, moment: Moment) -> Tensor:
        return batch

    def counts(self, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (batch[:, 0] > 0.5).sum()}

    def step(self, batch: Tensor) -> dict[str, Tensor]:
        m = self.module
        hidden = m["frozen"](batch)
        graded = batch[:, 0] > 0.5
        m["statistics"].observe(hidden, graded)
        hidden = m["statistics"](hidden)
        answer = m["head"](hidden)[:, 0]
        rows = (batch[:, 1] > 1.0).nonzero()[:, 0]
        if len(rows):
            answer = answer.index_add(0, rows, m["branch"](hidden[rows])[:, 0])
        loss = masked_mean((answer - batch.sum(1)).square(), graded)
        return {"loss": loss, "answer": answer.detach().mean()}

    def watch(self, average: nn.Module) -> dict[str, float]:
        return {"held_out_auc": 0.5}


def job(folder: Path, ranks: Ranks) -> Job:
    def batches(first: int):
        for i in range(first, SCHEDULE.total):
            yield torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(i))[ranks.share(SAMPLES)]

    return Job(
        task=Uneven(),
        schedule=SCHEDULE,
        batches=batches,
        split=lambda batch: [(batch, len(batch))],
        folder=folder,
        title="uneven",
        seed=1,
        stage=0,
        settings={},
        device=torch.device("cpu"),
        ranks=ranks,
    )


def member(rank: int, event: str, folder: Path, port: int, answer: Connection) -> None:
    """What each process of the group runs; in the last one something happens in the middle of the second epoch."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "localhost"}
    with joined("cpu") as ranks, StopRequest() as stop:
        mine = job(folder, ranks)
        last = ranks.rank == ranks.count - 1

        def disturbed(batch: Tensor, moment: Moment) -> Tensor:
            number = moment.epoch * SCHEDULE.iterations + moment.iteration
            if last and number == 4 and event in ("SIGTERM", "SIGKILL"):
                os.kill(os.getpid(), signal.Signals[event])
            return batch * float("nan") if last and number == 4 and event == "nan" else batch

        mine.task.prepare = disturbed
        try:
            train_stage(mine, stop)
            answer.send("")
        except (Interrupted, UserError, RankLost) as error:
            answer.send(f"{type(error).__name__}: {error}")


def group(event: str, folder: Path) -> list[str]:
    """How two processes that train together end; forked, because importing takes longer than all else here."""
    fork, port, pipes, answers = get_context("fork"), free_port(), [], []
    for rank in range(2):
        here, there = fork.Pipe(duplex=False)
        fork.Process(target=member, args=(rank, event, folder, port, there), daemon=True).start()
        pipes.append(here)
        there.close()
    for pipe in pipes:
        assert pipe.poll(60)
        try:
            answers.append(pipe.recv())
        except EOFError:
            answers.append("died")
    return answers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def losses(path: Path) -> list[list[float]]:
    with path.open() as file:
        return [[float(v) for k, v in row.items() if "seconds" not in k] for row in csv.DictReader(file)]


def assert_same_training(folder: Path, other: Path, *, rel: float, least: float = 1e-6) -> None:
    """Losses and weights; rounding grows through the optimiser's small denominators, so long runs get more room."""
    for ours, theirs in zip(losses(folder / "metrics.csv"), losses(other / "metrics.csv"), strict=True):
        assert ours == pytest.approx(theirs, rel=rel, abs=least)
    states = [torch.load(f / "latest.pt", weights_only=True) for f in (folder, other)]
    for part in ("model", "ema"):
        a, b = (torch.cat([v.double().flatten() for v in state[part].values()]) for state in states)
        assert (a - b).norm() <= rel * b.norm()


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch):
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)


@pytest.fixture
def alone(tmp_path) -> Path:
    with StopRequest() as stop:
        module = train_stage(job(tmp_path / "alone", ALONE), stop)
    torch.testing.assert_close(module["idle"].weight, Uneven().module["idle"].weight, rtol=0, atol=0)
    return tmp_path / "alone"


def test_two_processes_stop_together_and_train_on_to_what_one_trains(tmp_path, alone):
    """The signal reaches one of them; the sample counts, the gradients and the statistics are those of both."""
    stopped = group("SIGTERM", tmp_path / "two")
    expected = "Interrupted: stopped by SIGTERM after 5 of 6 iterations of uneven; the same command continues."
    assert stopped == [expected] * 2
    assert torch.load(tmp_path / "two" / "latest.pt", weights_only=True)["iteration"] == 5
    assert group("", tmp_path / "two") == ["", ""]
    assert_same_training(tmp_path / "two", alone, rel=1e-4)


def test_when_one_process_is_killed_the_other_ends_at_once_and_both_continue_to_what_one_trains(tmp_path, alone):
    lost, died = group("SIGKILL", tmp_path / "two")
    assert lost.startswith("RankLost: ")
    assert died == "died"
    assert torch.load(tmp_path / "two" / "latest.pt", weights_only=True)["iteration"] == 3
    assert group("", tmp_path / "two") == ["", ""]
    assert_same_training(tmp_path / "two", alone, rel=1e-4)


def test_a_loss_of_one_process_that_is_no_number_ends_all_with_one_reason(tmp_path):
    outputs = group("nan", tmp_path)
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("UserError: uneven, epoch 2: the loss is not a finite number")
    assert torch.load(tmp_path / "latest.pt", weights_only=True)["iteration"] == 3


def test_a_batch_that_cannot_be_shared_evenly_is_a_clear_error(make_cohort):
    workspace, three = open_workspace(make_cohort().workspace), replace(ALONE, count=3)
    with pytest.raises(UserError, match="batches of 2 cannot be shared evenly by 3 processes, expected 1, 2 of them"):
        open_run(workspace, preset=read_preset("baseline"), device="cpu", ranks=three)


@pytest.mark.parametrize(
    ("preset", "batch", "sentence"),
    [
        ("baseline", 2, "batches of 2 cannot be shared evenly by 7 processes, expected 1, 2 of them."),
        ("dist", 14, "DIST correlates over a batch, found 2 samples in one, expected at least 8"),
    ],
)
def test_what_processes_would_refuse_is_refused_before_they_start(make_cohort, monkeypatch, preset, batch, sentence):
    monkeypatch.setattr("reactkd_auto.training.launch.launch", lambda *_: pytest.fail("they were started"))
    cohort = make_cohort()
    write_plan(cohort.cases.parent / "plan.json", replace(cohort.plan, batch_size=batch))
    with pytest.raises(UserError, match=sentence):
        train(0, workspace=cohort.workspace, device="cpu", preset=preset, num_gpus=7)


@pytest.mark.parametrize(
    ("codes", "code", "told"),
    [
        ({0: 2, 1: -signal.SIGTERM}, 2, True),
        ({0: 4, 1: -signal.SIGKILL}, 128 + signal.SIGKILL, False),
        ({0: 128 + signal.SIGTERM, 1: 128 + signal.SIGTERM}, 128 + signal.SIGTERM, True),
        ({1: 1}, 1, False),
    ],
)
def test_a_group_ends_as_the_process_did_that_ended_first(monkeypatch, codes, code, told):
    """A mistake that the leading process tells of ends it; the launcher then ends the others by SIGTERM."""
    failures = {rank: ProcessFailure(rank, 1, ended, "") for rank, ended in codes.items()}

    def end(*_: str) -> None:
        raise ChildFailedError("training", failures)

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", lambda *_: end)
    with pytest.raises(GroupEnded) as ended:
        launch(2, {"fold": 0, "device": "cpu"})
    assert (ended.value.code, ended.value.told) == (code, told)


def test_options_reach_the_processes():
    options = {"fold": 2, "dataset": "Tiny", "seed": 0, "quiet": True, "restart": False, "epochs": None}
    assert arguments(options) == ["2", "--dataset", "Tiny", "--seed", "0", "--quiet"]


def command(cohort, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "reactkd_auto.training", "0", "-w", str(cohort.workspace), "--device", "cpu"),
        *("--epochs", "3", "--iterations", "8", *more),
    ]


def kill_a_process(launcher: subprocess.Popen, rank: int, when: Path) -> None:
    """SIGKILL the process of a rank in the middle of the epoch after the one that ``when`` tells of."""
    end = time.monotonic() + 120
    while not (when.exists() and len(when.read_text().splitlines()) > 1):
        assert launcher.poll() is None, "ended early"
        assert time.monotonic() < end
        time.sleep(0.02)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    chosen = [c for c in children if f"\0RANK={rank}\0" in Path(f"/proc/{c}/environ").read_text()]
    os.kill(int(chosen[0]), signal.SIGKILL)


@pytest.mark.parametrize(
    ("preset", "stage", "rank"),
    [("baseline", "auto/baseline_seed0/fold_0", 1), ("auto", "auto/teachers/auto_seed0/without_0", 0)],
)
@pytest.mark.slow
def test_after_a_process_is_killed_in_mid_epoch_the_same_command_ends_as_one_process(
    make_cohort, tmp_path, preset, stage, rank
):
    cohort = make_cohort()
    results = cohort.workspace / "results" / "Dataset001_Tiny"
    both = command(cohort, "--preset", preset, "--num_gpus", "2")
    with subprocess.Popen(both, stderr=subprocess.PIPE, text=True) as first:
        kill_a_process(first, rank, results / stage / "metrics.csv")
        assert first.stderr is not None
        said = [line for line in first.stderr.read().splitlines() if ", epoch " not in line]
    assert first.returncode == 128 + signal.SIGKILL
    assert said[-1] == f"reactkd_train: process {rank + 1} of 2 was ended by SIGKILL; the same command continues."
    assert not any("Traceback" in line for line in said)
    begun = torch.load(results / stage / "latest.pt", weights_only=True)["iteration"]
    assert 0 < begun < 24
    second = subprocess.run(both, stderr=subprocess.PIPE, text=True, check=True)
    assert f"continues after {begun} of 24 iterations" in second.stderr
    other = make_cohort(workspace=tmp_path / "alone")
    model = train(0, workspace=other.workspace, device="cpu", preset=preset, epochs=3, iterations=8)
    # The loss of the graph's edges is far smaller than the others, whose grown rounding moves it.
    assert_same_training(results / f"auto/{preset}_seed0" / "fold_0", model.fold(0), rel=2e-2, least=5e-5)


@pytest.mark.slow
def test_torchrun_itself_starts_the_same_training(make_cohort, tmp_path):
    cohort, other = make_cohort(), make_cohort(workspace=tmp_path / "alone")
    module = ["reactkd_auto.training", "0", "-w", str(cohort.workspace), "--device", "cpu", "--preset", "baseline"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m"]
    command = [*launcher, *module, "--epochs", "1", "--iterations", "4"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stderr.count("(folds 0)") == 1
    model = train(0, workspace=other.workspace, device="cpu", preset="baseline", epochs=1, iterations=4)
    together = cohort.workspace / "results" / "Dataset001_Tiny" / "auto" / "baseline_seed0" / "fold_0"
    assert_same_training(together, model.fold(0), rel=2e-2)
