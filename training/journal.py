"""What a stage tells while it runs: log lines, ``metrics.csv``, ``progress.png``."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reactkd_auto.jsonio import atomic_path, write_text
from reactkd_auto.tables import csv_text

logger = logging.getLogger(__name__)

PICTURE_EVERY_SECONDS = 20.0
NOT_LOSSES = ("epoch", "learning_rate", "seconds", "waiting_seconds")
WATCHED = "held_out_"


class Journal:
    """Writes the history of one stage into its folder.

    Args:
        folder: For ``metrics.csv`` and ``progress.png``.
        title: What the log lines and the picture call the stage.
        epochs: Planned number of epochs.
    """

    def __init__(self, folder: Path, *, title: str, epochs: int) -> None:
        self.folder, self.title, self.epochs = folder, title, epochs
        self._drawn = -math.inf

    def record(self, history: Sequence[dict[str, float]]) -> None:
        """Write the table, a log line for the last epoch, and now and then (always at the end) the picture."""
        write_text(self.folder / "metrics.csv", _table(history))
        logger.info("%s", self._line(history))
        now = time.monotonic()
        if now - self._drawn >= PICTURE_EVERY_SECONDS or len(history) == self.epochs:
            draw_progress(self.folder / "progress.png", history, title=self.title)
            self._drawn = now

    def _line(self, history: Sequence[dict[str, float]]) -> str:
        row = history[-1]
        parts = ", ".join(
            f"{k.replace('_', ' ')} {row[k]:.3f}" for k in _loss_names(history) if k in row and k != "loss"
        )
        watched = "".join(f", held-out {_label(k)} {row[k]:.3f}" for k in _watched_names([row]))
        left = (self.epochs - len(history)) * sum(r["seconds"] for r in history) / len(history)
        return (
            f"{self.title}, epoch {len(history)}/{self.epochs}: loss {row['loss']:.4f}{f' ({parts})' if parts else ''}"
            f"{watched}, lr {row['learning_rate']:.2e}, {row['seconds']:.1f} s, {_duration(left)} left"
        )


def draw_progress(path: Path, history: Sequence[dict[str, float]], *, title: str) -> None:
    """Losses, what was watched on held-out cases, learning rate and epoch time over the epochs, as one PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, sharex=True)
    _curves(axes[0, 0], history, _loss_names(history), "training losses (epoch mean)")
    axes[0, 0].set_ylim(bottom=0)
    _curves(axes[0, 1], history, _watched_names(history), "held-out fold (watched, selects nothing)")
    _curves(axes[1, 0], history, ["learning_rate"], "learning rate at the end of the epoch")
    _curves(axes[1, 1], history, ["seconds", "waiting_seconds"], "seconds an epoch (waiting: for the loader)")
    for axis in axes[1]:
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_ylim(bottom=0)
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _curves(axis: Any, history: Sequence[dict[str, float]], names: Sequence[str], title: str) -> None:
    for name in names:
        rows = [r for r in history if name in r and math.isfinite(r[name])]
        marker = "o" if len(rows) < 30 else None
        width = 2.2 if name == "loss" else 1.3
        axis.plot(
            [r["epoch"] for r in rows], [r[name] for r in rows], marker=marker, ms=3, lw=width, label=_label(name)
        )
    if len(names) > 1 or any(n.startswith(WATCHED) for n in names):
        axis.legend(fontsize=8)
    if names and all(n.startswith(WATCHED) for n in names):
        axis.set_ylim(0, 1.02)
        axis.axhline(0.5, color="0.6", lw=0.8, ls="--")
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.25)


def _label(name: str) -> str:
    return name.removeprefix(WATCHED).replace("_", " ").replace("auc", "AUC")


def _names(history: Sequence[dict[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in history for name in row))


def _loss_names(history: Sequence[dict[str, float]]) -> list[str]:
    return [n for n in _names(history) if n not in NOT_LOSSES and not n.startswith(WATCHED)]


def _watched_names(history: Sequence[dict[str, float]]) -> list[str]:
    return [n for n in _names(history) if n.startswith(WATCHED)]


def _table(history: Sequence[dict[str, float]]) -> str:
    names = _names(history)
    return csv_text(names, [[f"{row[n]:.6g}" if n in row else "" for n in names] for row in history])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
