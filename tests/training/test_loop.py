"""The loop on a toy task: resuming, signals, averages, errors."""

import csv
import os
import signal
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from reactkd_auto.errors import Interrupted, UserError
from reactkd_auto.networks.fusion import MissingToken
from reactkd_auto.training.loop import Job, train_stage
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.stop import StopRequest

SCHEDULE = Schedule(epochs=3, iterations=4, learning_rate=0.05, weight_decay=0.01, ema_decay=0.9)


class Toy:
    """A small network with dropout on random targets; can break or be told to stop at one iteration."""

    weights: ClassVar = {"loss": 1.0}

    def __init__(self, *, at: int | None = None, event: str = "") -> None:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.at, self.event, self.done = at, event, 0

    def prepare(self, batch: Tensor, moment: Moment) -> Tensor:
        number = moment.epoch * SCHEDULE.iterations + moment.iteration
        if number == self.at and self.event == "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        if number == self.at and self.event == "crash":
            raise MemoryError
        return batch * float("nan") if number == self.at and self.event == "nan" else batch

    def counts(self, batch: Tensor) -> dict[str, Tensor]:
        return {}

    def step(self, batch: Tensor) -> dict[str, Tensor]:
        loss = (self.module(batch) - batch.sum(1, keepdim=True)).square().mean()
        self.done += 1
        return {"loss": loss, "part": loss / 2}

    def watch(self, average: nn.Module) -> dict[str, float]:
        return {"held_out_auc": 0.5}


def batches(first: int) -> Generator[Tensor, None, None]:
    for i in range(first, SCHEDULE.total):
        yield torch.randn(6, 4, generator=torch.Generator().manual_seed(i))


def job(folder: Path, toy: Toy, **settings: object) -> Job:
    return Job(
        task=toy,
        schedule=SCHEDULE,
        batches=batches,
        split=whole,
        folder=folder,
        title="toy",
        seed=1,
        stage=0,
        settings=settings,
        device=torch.device("cpu"),
    )


def whole(batch: Tensor) -> list[tuple[Tensor, int]]:
    return [(batch, len(batch))]


def weights(module: nn.Module) -> list[Tensor]:
    return list(module.state_dict().values())


def assert_same(a: nn.Module, b: nn.Module) -> None:
    for x, y in zip(weights(a), weights(b), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


def run(folder: Path, toy: Toy, **settings: object) -> nn.Module:
    with StopRequest() as stop:
        return train_stage(job(folder, toy, **settings), stop)


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch):
    """Drawing takes longer than everything else here; test_journal looks at the picture."""
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)


@pytest.fixture
def uninterrupted(tmp_path) -> nn.Module:
    return run(tmp_path / "whole", Toy())


def test_the_same_seed_gives_the_same_weights(tmp_path, uninterrupted):
    assert_same(run(tmp_path / "again", Toy()), uninterrupted)


@pytest.mark.parametrize("at", [0, 5, 7, 11])
def test_a_crash_and_a_second_call_give_the_uninterrupted_weights(tmp_path, uninterrupted, at):
    with pytest.raises(MemoryError):
        run(tmp_path / "crashed", Toy(at=at, event="crash"))
    assert_same(run(tmp_path / "crashed", Toy()), uninterrupted)


@pytest.mark.parametrize("at", [1, 7, 9])
def test_sigterm_saves_at_the_iteration_and_a_second_call_gives_the_uninterrupted_weights(tmp_path, uninterrupted, at):
    with pytest.raises(Interrupted, match=f"SIGTERM after {at + 1} of 12 iterations of toy") as caught:
        run(tmp_path / "stopped", Toy(at=at, event="terminate"))
    assert caught.value.signal_number == signal.SIGTERM
    assert torch.load(tmp_path / "stopped" / "latest.pt", weights_only=True)["iteration"] == at + 1
    second = Toy()
    assert_same(run(tmp_path / "stopped", second), uninterrupted)
    assert second.done == SCHEDULE.total - at - 1


def test_metrics_have_one_row_an_epoch_with_epoch_means_whether_resumed_or_not(tmp_path):
    run(tmp_path / "whole", Toy())
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", Toy(at=5, event="terminate"))
    run(tmp_path / "stopped", Toy())
    tables = []
    for name in ("whole", "stopped"):
        with (tmp_path / name / "metrics.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    whole, stopped = tables
    assert [row["epoch"] for row in whole] == ["1", "2", "3"]
    assert [row["loss"] for row in whole] == [row["loss"] for row in stopped]
    assert float(whole[0]["part"]) == pytest.approx(float(whole[0]["loss"]) / 2, rel=1e-4)


def test_time_spent_waiting_for_batches_outlives_an_interruption(tmp_path):
    def slow(first: int) -> Generator[Tensor, None, None]:
        for number, batch in enumerate(batches(first), start=first):
            time.sleep(0.05 if number == 4 else 0.0)
            yield batch

    for toy in (Toy(at=5, event="terminate"), Toy()):
        with StopRequest() as stop, suppress(Interrupted):
            train_stage(replace(job(tmp_path, toy), batches=slow), stop)
    with (tmp_path / "metrics.csv").open() as file:
        waited = [float(row["waiting_seconds"]) for row in csv.DictReader(file)]
    assert waited[1] > 0.05 > max(waited[0], waited[2])


def test_kernels_decay_but_not_what_stands_in_for_a_missing_channel(tmp_path):
    class Unmoved(Toy):
        """Tokens and a kernel that no loss moves."""

        def __init__(self) -> None:
            super().__init__()
            self.module = nn.ModuleDict({"token": MissingToken(stages=2, width=4), "kernel": nn.Linear(4, 2)})

        def step(self, batch: Tensor) -> dict[str, Tensor]:
            return {"loss": torch.stack([0 * p.sum() for p in self.module.parameters()]).sum()}

    toy = Unmoved()
    before = {name: p.detach().clone() for name, p in toy.module.named_parameters()}
    run(tmp_path, toy)
    after = dict(toy.module.named_parameters())
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"kernel.weight"}
    assert bool((after["kernel.weight"].abs() < before["kernel.weight"].abs()).all())


def test_a_finished_stage_does_nothing_again(tmp_path, uninterrupted):
    second = Toy()
    assert_same(run(tmp_path / "whole", second), uninterrupted)
    assert second.done == 0


def test_a_loss_that_is_no_number_is_a_clear_error_and_the_last_good_state_stays(tmp_path, uninterrupted):
    with pytest.raises(UserError, match=r"toy, epoch 2: the loss is not a finite number \(loss, part\)"):
        run(tmp_path / "broken", Toy(at=6, event="nan"))
    state = torch.load(tmp_path / "broken" / "latest.pt", weights_only=True)
    assert state["iteration"] == 4
    assert all(torch.isfinite(v).all() for v in state["model"].values())


def test_other_settings_are_not_continued(tmp_path):
    run(tmp_path, Toy(), epochs=3)
    with pytest.raises(UserError, match=r"latest\.pt: was trained with epochs 3, this run expects 4.*--restart"):
        run(tmp_path, Toy(), epochs=4)


def test_a_broken_state_is_a_clear_error(tmp_path):
    run(tmp_path, Toy())
    whole = (tmp_path / "latest.pt").read_bytes()
    (tmp_path / "latest.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"latest\.pt: not a readable training state"):
        run(tmp_path, Toy())


def test_gradients_are_clipped(tmp_path):
    class Steep(Toy):
        def step(self, batch: Tensor) -> dict[str, Tensor]:
            return {"loss": 1e6 * self.module(batch).square().mean()}

    toy = Steep()
    with StopRequest() as stop:
        train_stage(replace(job(tmp_path, toy), schedule=replace(SCHEDULE, epochs=1)), stop)
    norm = torch.stack([p.grad.norm() for p in toy.module.parameters()]).norm()
    assert float(norm) == pytest.approx(1.0, rel=1e-4)


def in_three(batch: Tensor) -> list[tuple[Tensor, int]]:
    return [(batch[:1], 1), (batch[1:4], 3), (batch[4:], 2)]


def test_a_batch_in_parts_gives_the_steps_and_losses_of_the_whole_batch(tmp_path):
    def trained(name, **changes):
        toy = Toy()
        toy.module[1].p = 0.0
        with StopRequest() as stop:
            train_stage(replace(job(tmp_path / name, toy), **changes), stop)
        with (tmp_path / name / "metrics.csv").open() as file:
            return toy.module, [float(row["loss"]) for row in csv.DictReader(file)]

    (whole, losses), (parts, same) = trained("whole"), trained("parts", split=in_three)
    for a, b in zip(weights(whole), weights(parts), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert same == pytest.approx(losses, rel=1e-4)


def test_each_part_of_a_batch_draws_its_own_random_numbers(tmp_path):
    moments = []

    class Watching(Toy):
        def prepare(self, batch: Tensor, moment: Moment) -> Tensor:
            moments.append(moment)
            return super().prepare(batch, moment)

    with StopRequest() as stop:
        train_stage(replace(job(tmp_path, Watching()), split=in_three), stop)
    assert len({m.torch_seed("network") for m in moments}) == len(moments) == 3 * SCHEDULE.total
    assert [m.whole(n) for m, n in zip(moments[:3], (1, 3, 2), strict=True)] == [
        (6, slice(0, 1)),
        (6, slice(1, 4)),
        (6, slice(4, 6)),
    ]


def test_signal_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
