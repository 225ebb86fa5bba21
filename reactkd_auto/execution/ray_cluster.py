"""Cases on a Ray cluster: the one that $RAY_ADDRESS names, else one that lives on this machine as long as the map.

All nodes need this package and see the same files. A case whose worker or node dies is given to another one by Ray;
every file is written under a temporary name and renamed, so a case begun twice leaves one result.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reactkd_auto.errors import UserError

from .capacity import default_workers
from .outcome import CaseFailure, attempt
from .threads import single_threaded

RETRIES = 3
"""How often a case is begun anew after the death of its worker; then the case itself is to blame."""
IN_FLIGHT = 1000
"""Cases that Ray knows of at a time, so that it can ask for more nodes."""
_STORE_BYTES = 128 * 2**20
"""Of Ray's own shared memory on this machine: cases travel through files."""


def on_ray(
    function: Callable[[Any], Any], items: list[Any], *, workers: int | None, bytes_each: int, devices: int = 0
) -> Iterator[tuple[int, Any]]:
    """Each case as one task of one core, ``bytes_each`` of memory and so many CUDA devices.

    Ray gives a device to one task at a time and keeps its worker process for the next one, which finds there what the
    function has cached: an actor a device, whose cases are begun anew elsewhere when it dies.
    """
    ray = _import_ray()
    with _connected(ray, workers or min(default_workers(bytes_each), len(items))):
        room = min(bytes_each, _largest_memory(ray))
        task = ray.remote(num_cpus=1, memory=room, num_gpus=devices, max_retries=RETRIES)(_apply)
        shared = ray.put(function)
        waiting = deque(enumerate(items))
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < (workers or IN_FLIGHT):
                    index, item = waiting.popleft()
                    running[task.remote(shared, item)] = index
                done, _ = ray.wait(list(running), num_returns=1)
                yield running.pop(done[0]), _result(ray, done[0])
        finally:
            for left in running:
                ray.cancel(left, force=True)


def _apply(function: Callable[[Any], Any], item: Any) -> Any:
    with single_threaded():
        return attempt(function, item)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [""]
        return CaseFailure(f"its worker died {RETRIES + 1} times ({type(error).__name__}: {lines[0]})", str(error))


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise UserError(
            "--engine ray: the package ray is not installed, expected it on every node; "
            "install it with: pip install 'reactkd_auto[ray]'"
        ) from None
    return ray


@contextmanager
def _connected(ray: Any, cores: int) -> Iterator[None]:
    """Within the cluster that this process is connected to, or that is named, or in one of our own."""
    if ray.is_initialized():
        yield
        return
    common = {"log_to_driver": False, "logging_level": "ERROR"}
    if address := os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(address=address, **common)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"RAY_ADDRESS {address}: no Ray cluster answers there ({reason}).") from None
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        ray.init(address="local", num_cpus=cores, object_store_memory=_STORE_BYTES, include_dashboard=False, **common)
    try:
        yield
    finally:
        ray.shutdown()


def _largest_memory(ray: Any) -> int:
    """Memory of the roomiest node: a task that asks for more would wait for ever."""
    found = [node["Resources"].get("memory", 0) for node in ray.nodes() if node["Alive"]]
    return int(max(found, default=0))
