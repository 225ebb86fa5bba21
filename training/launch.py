"""``--num_gpus``: start the same training once a GPU, as ``torchrun`` does, and say in a sentence how it ended."""

from __future__ import annotations

import logging
import signal
import sys
import uuid
from typing import Any

from reactkd_auto.device import choose_device
from reactkd_auto.errors import EXIT_USER_ERROR, SIGNALLED
from reactkd_auto.training.group import check_gpus

logger = logging.getLogger(__name__)

EXIT_RANK_LOST = 4


class GroupEnded(Exception):
    """The processes have ended without finishing.

    Attributes:
        code: For the command to exit with.
        told: Whether the leading process has said why.
    """

    def __init__(self, message: str, *, code: int, told: bool) -> None:
        super().__init__(message)
        self.code, self.told = code, told


def launch(count: int, options: dict[str, Any]) -> None:
    """Run ``python -m reactkd_auto.training`` with these options in ``count`` processes, and wait for them.

    Raises:
        UserError: Fewer GPUs.
        GroupEnded: A process failed, or a signal came.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if choose_device(options["device"]).type == "cuda":
        check_gpus(count)
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what happened is said here, in one sentence
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "reactkd_auto.training", *arguments(options))
    except ChildFailedError as error:
        raise _reason({rank: failure.exitcode for rank, failure in error.failures.items()}, count) from None
    except SignalException as error:
        code = SIGNALLED + int(error.sigval)
        raise GroupEnded(f"stopped by {error.sigval.name}.", code=code, told=True) from None


def arguments(options: dict[str, Any]) -> list[str]:
    """Options of `api.train` as a command line."""
    given = {n: v for n, v in options.items() if n != "fold" and v is not None and v is not False}
    flags = [[f"--{name}"] if value is True else [f"--{name}", str(value)] for name, value in given.items()]
    return [str(options["fold"]), *(text for flag in flags for text in flag)]


def _reason(codes: dict[int, int], count: int) -> GroupEnded:
    mistaken = codes.get(0) == EXIT_USER_ERROR  # then the launcher itself has ended the others
    killed = {rank: -code for rank, code in codes.items() if code < 0}
    if killed and not mistaken:
        rank, number = next(iter(killed.items()))
        what = f"process {rank + 1} of {count} was ended by {signal.Signals(number).name}"
        return GroupEnded(f"{what}; the same command continues.", code=SIGNALLED + number, told=False)
    rank, code = min(codes.items())
    told = mistaken or (rank == 0 and code > SIGNALLED)
    what = f"process {rank + 1} of {count} ended with exit code {code}"
    return GroupEnded(f"{what}, its error stands above; the same command continues.", code=code, told=told)
