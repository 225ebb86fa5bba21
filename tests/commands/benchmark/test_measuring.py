import time
from dataclasses import dataclass

import pytest
import torch

from reactkd_auto.commands.benchmark.measuring import (
    Spread,
    copy_bytes_per_second,
    peak_memory_mb,
    time_side_by_side,
)
from reactkd_auto.commands.benchmark.traffic import bytes_moved

CPU = torch.device("cpu")


def _busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@dataclass(frozen=True)
class Allocation:
    """Work that takes so many megabytes at most, twice one after the other."""

    megabytes: int

    def prepare(self):
        return lambda: [torch.ones(self.megabytes * 250_000).sum() for _ in range(2)]


def test_spread_is_median_and_range():
    spread = Spread.of([3.0, 1.0, 2.0, 10.0])
    assert (spread.median, spread.low, spread.high, spread.n) == (2.5, 1.0, 10.0, 4)
    assert spread.scaled(2) == Spread(5.0, 2.0, 20.0, 4)


def test_processor_time_is_that_of_the_work_alone_in_rounds_of_all():
    order = []

    def work(name, action):
        return lambda: (order.append(name), action())

    busy, idle = time_side_by_side(
        [work("busy", lambda: _busy(0.03)), work("idle", lambda: time.sleep(0.03))], [3, 2], CPU
    )
    assert order == ["busy", "idle"] * 3 + ["busy"]
    assert len(busy.cpu) == 3
    assert all(0.029 < s < 0.05 for s in busy.cpu)
    assert all(s < 0.015 for s in idle.cpu)
    assert all(s > 0.029 for s in (*busy.wall, *idle.wall))


def test_peak_memory_is_what_was_held_at_once():
    assert 200 <= peak_memory_mb(Allocation(200), CPU, threads=1) < 260


def test_bytes_of_operands_and_results_are_counted_and_views_are_free():
    a, b, row = torch.ones(1000, 8), torch.ones(1000, 8), torch.ones(8)
    size = a.numel() * 4
    assert bytes_moved(lambda: a + b) == 3 * size
    assert bytes_moved(lambda: a[10:].view(-1).unflatten(0, (-1, 4)).transpose(0, 1)) == 0
    assert bytes_moved(lambda: a.add_(b)) == 3 * size
    assert bytes_moved(lambda: row.expand(1000, 8) * a) == 2 * size + row.numel() * 4


def test_sparse_matrices_are_counted_by_what_is_stored():
    dense = torch.zeros(100, 50)
    dense[::10, 3] = 1
    matrix, x = dense.to_sparse_csr(), torch.ones(50, 2)
    stored = 10 * 4 + 10 * 8 + 101 * 8
    assert bytes_moved(lambda: matrix @ x) == pytest.approx(stored + x.numel() * 4 + 200 * 4, rel=0.5)
    assert bytes_moved(lambda: matrix @ x) < dense.numel() * 4 / 2


def test_copying_has_a_bandwidth():
    bandwidth = copy_bytes_per_second(CPU, rounds=3)
    assert 1e8 < bandwidth.low <= bandwidth.median <= bandwidth.high < 1e13
