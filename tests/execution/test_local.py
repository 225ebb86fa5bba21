import ctypes
import logging
import os
import signal
import sys
import time

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.execution import (
    BYTES_PER_WORKER,
    CaseFailure,
    Execution,
    default_workers,
    map_cases,
    single_threaded,
    usable_cores,
)


def fails_on_three(item):
    if item == 3:
        raise UserError("case 3: found nothing, expected something.")
    if item == 4:
        raise ZeroDivisionError("by zero")
    return item


def dies_on_two(item):
    if item == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def crashes_on_two(item):
    if item == 2:
        ctypes.string_at(0)
    return item


def leaves_on_two(item):
    if item == 2:
        sys.exit("enough")
    return item


def slow_first(item):
    time.sleep(0.3 if item == 0 else 0)
    return item, os.getpid()


def threads(item):
    import torch

    return torch.get_num_threads()


@pytest.mark.parametrize("workers", [1, 2])
def test_failing_cases_are_reported_and_the_rest_goes_on(workers, caplog):
    with caplog.at_level(logging.ERROR, logger="reactkd_auto"):
        results = dict(map_cases(fails_on_three, range(6), execution=Execution(workers=workers)))
    assert results[3] == CaseFailure("case 3: found nothing, expected something.")
    assert results[4].sentence == "failed with ZeroDivisionError: by zero"
    assert "fails_on_three" in results[4].traceback
    assert [results[i] for i in (0, 1, 2, 5)] == [0, 1, 2, 5]
    assert [r.getMessage().splitlines()[0] for r in caplog.records] == ["4: failed with ZeroDivisionError: by zero"]


def test_a_killed_worker_costs_only_its_own_case():
    results = dict(map_cases(dies_on_two, range(5), execution=Execution(workers=2)))
    assert "signal 9" in results.pop(2).sentence
    assert results == {0: 0, 1: 1, 3: 3, 4: 4}


def test_a_crashed_worker_leaves_its_stack_with_the_name_of_the_case(caplog):
    execution = Execution(workers=2, quiet=True)
    with caplog.at_level(logging.ERROR, logger="reactkd_auto"):
        results = dict(map_cases(crashes_on_two, range(4), execution=execution, name="case_{}".format))
    assert "signal 11" in results[2].sentence
    assert "crashes_on_two" in results[2].traceback
    assert [r.getMessage().partition(":")[0] for r in caplog.records] == ["case_2"]
    assert [results[i] for i in (0, 1, 3)] == [0, 1, 3]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_case_that_leaves_the_program_is_a_failure_of_its_own(workers):
    results = dict(map_cases(leaves_on_two, range(4), execution=Execution(workers=workers)))
    assert "leaves_on_two" in results.pop(2).traceback
    assert results == {0: 0, 1: 1, 3: 3}


def test_results_come_in_the_order_of_the_items_from_more_than_one_process():
    results = list(map_cases(slow_first, range(6), execution=Execution(workers=2)))
    assert [item for item, _ in results] == list(range(6))
    assert [value for _, (value, _) in results] == list(range(6))
    pids = {pid for _, (_, pid) in results}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_one_item_runs_in_this_process():
    ((_, (_, pid)),) = map_cases(slow_first, [1], execution=Execution(workers=8))
    assert pid == os.getpid()


def test_no_items_give_no_results():
    assert list(map_cases(slow_first, [], execution=Execution())) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_every_case_runs_on_one_thread(workers, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert {t for _, t in map_cases(threads, range(2), execution=Execution(workers=workers))} == {1}


def test_thread_counts_come_back():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with single_threaded():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_workers_are_limited_by_free_memory(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr("reactkd_auto.execution.capacity.free_bytes", lambda: 5 * BYTES_PER_WORKER + 1)
    assert default_workers() == 5
    assert default_workers(BYTES_PER_WORKER // 5) == 25
    monkeypatch.setattr("reactkd_auto.execution.capacity.free_bytes", lambda: 0)
    assert default_workers() == 1


def test_a_system_that_does_not_say_which_cores_may_be_used_gives_all_of_them(monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert usable_cores() == os.cpu_count()


def test_an_abandoned_map_leaves_no_process_behind():
    results = map_cases(slow_first, range(8), execution=Execution(workers=2))
    _, (_, pid) = next(results)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
