import threading

import pytest

from reactkd_auto.execution import overlapped


@pytest.mark.parametrize("overlap", [True, False])
def test_every_item_takes_all_steps_in_order(overlap: bool) -> None:
    found = overlapped(
        range(5),
        lambda i: i * 10,
        lambda i, r: (i, r + 1),
        lambda i, w: (i, *w),
        overlap=overlap,
    )
    assert list(found) == [(i, i, 10 * i + 1) for i in range(5)]


def test_the_next_is_read_and_the_last_written_while_one_is_in_work() -> None:
    """Each step waits for the others to have begun: one after the other they would wait for ever."""
    reading, writing = threading.Event(), threading.Event()

    def read(item: int) -> int:
        if item == 2:
            reading.set()
        return item

    def work(item: int, _: int) -> int:
        if item == 1:
            assert reading.wait(10), "item 2 is not read while item 1 is in work"
            assert writing.wait(10), "item 0 is not written while item 1 is in work"
        return item

    def write(item: int, _: int) -> int:
        if item == 0:
            writing.set()
        return item

    assert list(overlapped(range(3), read, work, write)) == [0, 1, 2]


def test_no_more_than_three_items_are_in_memory() -> None:
    lock, alive, most = threading.Lock(), 0, 0

    class Image:
        def __init__(self) -> None:
            nonlocal alive, most
            with lock:
                alive += 1
                most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

    for _ in overlapped(range(20), lambda _: Image(), lambda _, image: image, lambda _, image: None):
        pass
    assert 1 < most <= 3


@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_exception_of_a_step_ends_the_run(step: int) -> None:
    def fail(at: int, item: int) -> int:
        if at == step and item == 3:
            raise RuntimeError("broken")
        return item

    done = []
    with pytest.raises(RuntimeError, match="broken"):
        done.extend(
            overlapped(range(9), lambda i: fail(0, i), lambda i, _: fail(1, i), lambda i, _: fail(2, i), overlap=True)
        )
    assert threading.active_count() < 20


def test_a_run_that_is_given_up_leaves_no_thread() -> None:
    before = threading.active_count()
    run = overlapped(range(100), str, lambda i, r: r, lambda i, w: w)
    assert next(run) == "0"
    run.close()
    assert threading.active_count() == before
