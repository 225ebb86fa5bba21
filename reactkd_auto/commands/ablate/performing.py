"""Trainings one after another, or side by side on a cluster; what another process has in hand is left for later."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from reactkd_auto.errors import UserError
from reactkd_auto.execution import CaseFailure, Execution, map_cases
from reactkd_auto.lock import Busy
from reactkd_auto.progress import track

from .recipes import Training, together

PATIENCE_S = 20.0
"""Wait between two looks at folders that others are working in."""

logger = logging.getLogger(__name__)


def perform(
    mine: Sequence[Training],
    train: Callable[[Training], object],
    *,
    quiet: bool,
    pause: Callable[[float], None] = time.sleep,
) -> dict[Training, str]:
    """Train each; one that a user's mistake stops is reported, the others go on.

    Args:
        mine: To be done, in this order as far as their folders are free.
        train: Trains one, or finds it finished.
        quiet: No progress bar.
        pause: Waits that many seconds.

    Returns:
        A sentence for each that failed.
    """
    waiting, failures = deque(mine), dict[Training, str]()
    refused = 0
    for _ in track(range(len(mine)), what="trainings", quiet=quiet):
        while waiting:
            training = waiting.popleft()
            try:
                train(training)
                refused = 0
                break
            except Busy:
                waiting.append(training)
                refused += 1
                if refused >= len(waiting):  # all that is left is in other hands
                    logger.info("%s: another process is at it; waiting.", training)
                    pause(PATIENCE_S)
                    refused = 0
            except UserError as error:
                logger.error("%s: %s", training, error)
                failures[training] = str(error)
                break
    return failures


def perform_side_by_side(
    mine: Sequence[Training], train: Callable[[Training], object], *, execution: Execution, devices: int
) -> dict[Training, str]:
    """As `perform`, seeds and folds on a cluster at once; a training whose node dies is continued on another one.

    Args:
        mine: To be done.
        train: Trains one, or finds it finished; it travels to the nodes.
        execution: The cluster.
        devices: CUDA devices that a training has to itself.
    """
    failures = dict[Training, str]()
    groups = together(mine)
    one_place = partial(perform, train=train, quiet=True)
    results = map_cases(one_place, groups, execution=execution, devices=devices, what="seeds and folds", name=_named)
    for group, result in results:
        if isinstance(result, CaseFailure):
            logger.error("%s: %s", _named(group), result.sentence)
            failures |= dict.fromkeys(group, result.sentence)
        else:
            failures |= result
    return failures


def _named(group: Sequence[Training]) -> str:
    return f"seed {group[0].seed}, fold {group[0].fold}"
