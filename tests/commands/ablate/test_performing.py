"""The order of work when folders are free, busy, or cannot be trained."""

import pytest

from reactkd_auto.commands.ablate.performing import PATIENCE_S, perform, perform_side_by_side
from reactkd_auto.commands.ablate.recipes import Recipe, trainings
from reactkd_auto.errors import UserError
from reactkd_auto.execution import Execution
from reactkd_auto.lock import Busy

MINE = trainings([Recipe("baseline"), Recipe("auto")], [0], [0, 1])


def test_all_are_trained_in_order():
    done = []
    assert perform(MINE, done.append, quiet=True) == {}
    assert done == list(MINE)


def test_what_another_process_has_in_hand_is_done_last_and_waited_for():
    done, pauses, busy = [], [], {MINE[0]: 3}

    def train(training):
        if busy.get(training, 0):
            busy[training] -= 1
            raise Busy("another process is at work")
        done.append(training)

    assert perform(MINE, train, quiet=True, pause=pauses.append) == {}
    assert done == [*MINE[1:], MINE[0]]
    assert pauses == [PATIENCE_S] * len(pauses)
    assert pauses


def test_one_that_cannot_be_trained_stops_no_other():
    done = []

    def train(training):
        if training == MINE[1]:
            raise UserError("preset auto: no such thing.")
        done.append(training)

    assert perform(MINE, train, quiet=True) == {MINE[1]: "preset auto: no such thing."}
    assert done == [MINE[0], *MINE[2:]]


@pytest.mark.parametrize(
    ("fault", "failed"),
    [(UserError("preset auto: no such thing."), [MINE[1]]), (RuntimeError("its node burns"), list(MINE[:2]))],
)
def test_side_by_side_a_fault_stops_at_most_its_own_seed_and_fold(fault, failed):
    done = []

    def train(training):
        if training == MINE[1]:
            raise fault
        done.append(training)

    failures = perform_side_by_side(MINE, train, execution=Execution(workers=1, quiet=True), devices=0)
    assert list(failures) == failed
    assert all(str(fault) in sentence for sentence in failures.values())
    assert done == [MINE[0], *MINE[2:]]
