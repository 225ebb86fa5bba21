"""A loop on real cases against one on resident samples: a slow loader is seen, whatever was loaded ahead."""

import time
from itertools import cycle
from types import SimpleNamespace

import pytest
import torch

from reactkd_auto.commands.benchmark import real_training
from reactkd_auto.commands.benchmark.real_training import Loops
from reactkd_auto.training import loader
from reactkd_auto.training.loader import Feed, most_loaded_ahead, stream
from reactkd_auto.training.schedule import Schedule

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
RESIDENT = {"names": ["r0", "r1"], "present": torch.ones(2, 2), "image": "resident"}


class Clock:
    """Seconds that pass only when something is said to take some."""

    def __init__(self) -> None:
        self.now = 0.0

    def take(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(real_training, "time", SimpleNamespace(perf_counter=lambda: made.now))
    return made


def batches(clock, seconds):
    for i, s in enumerate(cycle(seconds)):
        clock.take(s)
        yield {"names": [f"case_{i}"], "present": torch.zeros(1, 2), "image": "real"}


def compared(clock, seconds, *, steps=8, learn=None):
    loops = Loops(learn or (lambda arrays: clock.take(1.0)), RESIDENT, 1, steps, CPU)
    return loops.compare(batches(clock, seconds))


def test_a_share_is_of_the_whole_time_of_both_loops(clock):
    real = compared(clock, [0.25])
    assert (real.real_seconds, real.resident_seconds) == (10.0, 8.0)
    assert real.share == pytest.approx(0.8)
    assert real.samples_per_second == pytest.approx(2 * 8 / 10)
    assert real.load_ms.median == 250


def test_one_slow_batch_in_four_counts_although_the_usual_one_is_quick(clock):
    real = compared(clock, [0.0, 0.0, 0.0, 4.0])
    assert real.load_ms.median == 0
    assert real.share == pytest.approx(0.5)


def test_the_first_steps_are_not_timed(clock):
    assert compared(clock, [100.0, *[0.0] * 20]).share == 1


def test_resident_samples_pass_for_the_same_cases(clock):
    seen = []
    compared(clock, [0.0], steps=2, learn=seen.append)
    real, resident = seen[:3], seen[3:]
    assert [a["image"] for a in seen] == ["real"] * 3 + ["resident"] * 3
    assert [a["names"] for a in resident] == [a["names"] for a in real]
    assert [a["present"].sum() for a in resident] == [0, 0, 0]


def test_batches_that_workers_load_ahead_do_not_hide_a_slow_loader(monkeypatch):
    monkeypatch.setattr(loader, "_workers", lambda device, ranks: 2 if device.type == "cuda" else 0)

    def load(cases, moment):
        time.sleep(0.2)
        return {"names": cases, "present": torch.ones(1)}

    ahead = most_loaded_ahead(CUDA)
    loops = Loops(lambda arrays: time.sleep(0.01), RESIDENT, ahead, real_training.AS_OFTEN * ahead, CPU)
    case = SimpleNamespace(label=0)
    slow = stream(Feed((case,), 1, False, load), Schedule(1, 50, 1e-3, 0, 0.9), seed=0, stage=0, first=0, device=CUDA)
    assert loops.compare(slow).share < 0.5
    slow.close()
