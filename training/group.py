"""This process's place among those that ``torchrun``, or ``reactkd_train --num_gpus``, has started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed

from reactkd_auto.device import choose_device
from reactkd_auto.errors import UserError
from reactkd_auto.execution import usable_cores
from reactkd_auto.ranks import ALONE, Ranks

PATIENCE = timedelta(days=7)
"""Others wait while the leading process evaluates or trains the localiser. One that dies is noticed at once."""


def started_in_group() -> bool:
    """Whether a launcher has started this process with others."""
    return distributed.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1


def follows() -> bool:
    """Whether another process of the group leads, and speaks."""
    return started_in_group() and os.environ["RANK"] != "0"


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """This process's ranks, alone where no launcher has started it. On CUDA it computes on the GPU of its number.

    Raises:
        UserError: More processes than GPUs.
    """
    if not started_in_group():
        yield ALONE
        return
    number, here, everywhere = (int(os.environ[n]) for n in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if choose_device(device).type == "cuda":
        check_gpus(here)
        torch.cuda.set_device(number)
        backend = "cpu:gloo,cuda:nccl"
    else:
        backend = "gloo"
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(max(1, usable_cores() // here))
    if here == everywhere:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
    distributed.init_process_group(backend, timeout=PATIENCE)
    yield Ranks(distributed.get_rank(), distributed.get_world_size())
    distributed.destroy_process_group()  # not after an error: others may be gone, and the process ends anyway


def check_gpus(wanted: int) -> None:
    """Refuse more processes than GPUs.

    Raises:
        UserError: Naming both numbers.
    """
    found = torch.cuda.device_count()
    if found < wanted:
        raise UserError(f"{wanted} processes on this machine: found {found} CUDA devices, expected one for each.")


def _loopback() -> str:
    """The interface by which processes of one machine meet, whatever its host name resolves to."""
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
