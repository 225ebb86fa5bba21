"""How many cases this machine can have in hand at a time."""

from __future__ import annotations

import os
from pathlib import Path

BYTES_PER_WORKER = 3 * 2**30
"""Memory granted to each case of unknown size: a large CT with two PETs and its noise fields."""


def default_workers(bytes_each: int = BYTES_PER_WORKER) -> int:
    """Cores that this process may use, as far as free memory grants ``bytes_each`` to each; at least one."""
    return max(1, min(usable_cores(), free_bytes() // bytes_each))


def usable_cores() -> int:
    """Cores that this process may use; all of the machine where the system does not say, as macOS."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes() -> int:
    """Free memory of the machine, or of the container where that is less."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 2**62
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        free = min(free, limit - int((group / "memory.current").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no control group, or no limit ("max")
        pass
    return max(0, free)
