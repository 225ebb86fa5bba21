"""Batches are a pure function of seed, stage, epoch and iteration."""

import multiprocessing
import time
from contextlib import closing
from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from reactkd_auto.cases import finished_cases, read_properties
from reactkd_auto.ranks import ALONE
from reactkd_auto.training import loader
from reactkd_auto.training.loader import Feed, FeedLoader, case_feed, most_loaded_ahead, split, stream, to_batch
from reactkd_auto.training.schedule import Schedule

SCHEDULE = Schedule(3, 4, 1e-3, 0.0, 0.9)
CPU = torch.device("cpu")


@pytest.fixture
def feed(make_cohort):
    cohort = make_cohort()
    cases = [read_properties(cohort.cases, c) for c in finished_cases(cohort.cases)]
    return case_feed(cohort.cases, cases, cohort.plan, cohort.dataset, balanced=True)


def batches(feed, *, seed=0, stage=0, first=0):
    return list(stream(feed, SCHEDULE, seed=seed, stage=stage, first=first, device=CPU))


def test_a_stream_has_every_iteration_and_is_the_same_again(feed):
    once, again = batches(feed), batches(feed)
    assert len(once) == SCHEDULE.total
    assert [b["case"] for b in once] == [b["case"] for b in again]
    torch.testing.assert_close(once[3]["image"], again[3]["image"], rtol=0, atol=0)


def test_a_resumed_stream_continues_where_it_stopped(feed):
    whole = [b["case"] for b in batches(feed)]
    for first in (1, 4, 6):
        assert [b["case"] for b in batches(feed, first=first)] == whole[first:]


def test_epochs_seeds_and_stages_differ(feed):
    whole = [b["case"] for b in batches(feed)]
    assert whole[:4] != whole[4:8]
    assert whole != [b["case"] for b in batches(feed, seed=1)]
    assert whole != [b["case"] for b in batches(feed, stage=1)]


def test_workers_in_turn_make_the_same_stream(feed):
    whole = [b["case"] for b in batches(feed, first=1)]
    workers = []
    for w in range(3):
        loader = FeedLoader(feed, SCHEDULE, seed=0, stage=0, first=1, workers=3)
        loader.set_thread_id(w)
        workers.append(list(loader))
    made = [workers[i % 3][i // 3]["case"] for i in range(len(whole))]
    assert made == whole


def test_arrays_become_a_batch(feed):
    arrays = next(islice(stream(feed, SCHEDULE, seed=0, stage=0, first=0, device=CPU), 1))
    batch = to_batch(arrays, CPU)
    assert batch.image.shape[:2] == (2, 2)
    assert batch.case == arrays["case"]


@pytest.mark.parametrize(("parts", "sizes"), [(1, [5]), (2, [2, 3]), (5, [1] * 5), (9, [1] * 5)])
def test_parts_of_a_batch_are_nearly_equal_and_make_it_up(parts, sizes):
    arrays = {"case": list("abcde"), "image": torch.arange(10).reshape(5, 2)}
    pieces = split(arrays, parts=parts)
    assert [len(piece["case"]) for piece, _ in pieces] == sizes
    assert [samples for _, samples in pieces] == sizes
    assert [case for piece, _ in pieces for case in piece["case"]] == arrays["case"]
    torch.testing.assert_close(torch.cat([piece["image"] for piece, _ in pieces]), arrays["image"])


def test_workers_load_no_more_batches_ahead_than_is_said(monkeypatch):
    monkeypatch.setattr(loader, "_workers", lambda device, ranks: 2)
    loaded = multiprocessing.Value("i", 0)

    def load(cases, moment):
        with loaded.get_lock():
            loaded.value += 1
        return {"names": []}

    most = most_loaded_ahead(torch.device("cuda"))
    schedule = Schedule(1, 5 * most, 1e-3, 0.0, 0.9)
    fed = Feed((SimpleNamespace(label=0),), 1, False, load)
    with closing(stream(fed, schedule, seed=0, stage=0, first=0, device=torch.device("cuda"))) as batches:
        next(batches)
        deadline = time.monotonic() + 20
        while loaded.value < 1 + most and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        assert loaded.value == 1 + most


def test_nothing_is_loaded_ahead_in_the_same_process():
    assert most_loaded_ahead(CPU) == 0


def test_loading_processes_are_counted_where_the_system_knows_no_affinity(monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 5)
    assert loader._workers(torch.device("cuda"), ALONE) == 4
