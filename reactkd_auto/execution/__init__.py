"""One case-parallel map: in this process, in local worker processes, or on a cluster; the results are the same."""

from .capacity import BYTES_PER_WORKER, default_workers, free_bytes, usable_cores
from .mapping import map_cases
from .options import ENGINES, Execution
from .outcome import CaseFailure, attempt
from .pipeline import overlapped
from .threads import single_threaded

__all__ = [
    "BYTES_PER_WORKER",
    "ENGINES",
    "CaseFailure",
    "Execution",
    "attempt",
    "default_workers",
    "free_bytes",
    "map_cases",
    "overlapped",
    "single_threaded",
    "usable_cores",
]
