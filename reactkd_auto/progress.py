"""Progress bars and log lines, silent where nobody watches."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], *, what: str, total: int | None = None, quiet: bool = False) -> Iterable[T]:
    """Iterate with a progress bar and an estimate of the time left; no bar when quiet or without a terminal."""
    disable = quiet or not sys.stderr.isatty()
    return tqdm(items, desc=what, total=total, disable=disable, dynamic_ncols=True, leave=False)


def configure_logging(*, quiet: bool) -> None:
    """Send the package's log to standard error: all of it, or warnings only."""
    logger = logging.getLogger("reactkd_auto")
    logger.handlers.clear()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


def log_to_file(path: Path) -> logging.Handler:
    """Append the package's log, with times, to a file as well; the caller removes the handler when done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("reactkd_auto").addHandler(handler)
    return handler
