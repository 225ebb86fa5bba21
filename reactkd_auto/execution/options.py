"""Where and how wide a map runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

EngineName = Literal["local", "ray"]
ENGINES: tuple[str, ...] = get_args(EngineName)


@dataclass(frozen=True)
class Execution:
    """How a map is carried out; it never changes a result.

    Attributes:
        engine: ``local``: processes of this machine, with one worker this process itself; ``ray``: a Ray cluster.
        workers: Cases at a time; None: as many as cores and free memory allow.
        quiet: No progress bar.
    """

    engine: EngineName = "local"
    workers: int | None = None
    quiet: bool = False
