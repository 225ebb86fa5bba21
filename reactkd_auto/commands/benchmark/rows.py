"""Rows of a benchmark's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .measuring import Spread


@dataclass(frozen=True)
class Row:
    """Costs of one method.

    Attributes:
        method: Name.
        device: Where it ran.
        doses: Outputs a slice.
        threads: Of torch.
        cpu_ms, wall_ms: Per slice; see `Timing`.
        memory_mb: At most, set-up included; None where it isn't measured.
        bytes_per_slice: See `bytes_moved`; None where it isn't counted.
    """

    method: str
    device: str
    doses: int
    threads: int
    cpu_ms: Spread
    wall_ms: Spread
    memory_mb: float | None
    bytes_per_slice: float | None

    @property
    def ms(self) -> Spread:
        """What one slice costs: processor time, or on CUDA the device's time."""
        return self.cpu_ms if self.device == "cpu" else self.wall_ms

    @property
    def bytes_per_second(self) -> float | None:
        """Bytes moved a second of wall time."""
        return self.bytes_per_slice / self.wall_ms.median * 1e3 if self.bytes_per_slice else None


@dataclass(frozen=True)
class Ratio:
    """How many times less an output costs than with a reference.

    Attributes:
        method, doses: Of the row.
        reference, reference_doses: Method that is one, and how many doses share its projection.
        times: Of medians; low and high from the unluckiest and luckiest pair of repeats.
        target: To be reached, if there is one.
    """

    method: str
    doses: int
    reference: str
    reference_doses: int
    times: Spread
    target: float | None

    @classmethod
    def of(cls, reference: Row, row: Row, target: float | None) -> Ratio:
        """Of two rows of one run."""
        slow, fast = reference.ms.scaled(1 / reference.doses), row.ms.scaled(1 / row.doses)
        times = Spread(slow.median / fast.median, slow.low / fast.high, slow.high / fast.low, min(slow.n, fast.n))
        return cls(row.method, row.doses, reference.method, reference.doses, times, target)


def table(rows: list[Row], ratios: list[Ratio], machine: dict[str, Any], bandwidth: Spread) -> str:
    """Rows, ratios and machine as text; medians with the range of n repeats in brackets."""
    lines = [f"{'method':<16}{'doses':>6}{'threads':>8}{'n':>3}{'CPU ms a slice':>24}{'wall ms a slice':>24}"]
    lines[0] += f"{'slices/s':>10}{'MB':>7}{'GB/s':>7}"
    for r in rows:
        memory = "" if r.memory_mb is None else f"{r.memory_mb:.0f}"
        speed = "" if r.bytes_per_second is None else f"{r.bytes_per_second / 1e9:.1f}"
        lines.append(
            f"{r.method:<16}{r.doses:>6}{r.threads:>8}{r.ms.n:>3}{r.cpu_ms!s:>24}{r.wall_ms!s:>24}"
            f"{1e3 / r.ms.median:>10.3g}{memory:>7}{speed:>7}"
        )
    lines += ["", f"{'an output with':<16}{'doses':>6}  times less than with (range of pairs of repeats)"]
    for ratio in ratios:
        than = f"{ratio.times.median:.0f} ({ratio.times.low:.0f}–{ratio.times.high:.0f}) {ratio.reference}"
        shared = f", {ratio.reference_doses} doses of a projection" if ratio.reference_doses > 1 else ""
        target = "" if ratio.target is None else f"; target ≥ {ratio.target:.0f}"
        lines.append(f"{ratio.method:<16}{ratio.doses:>6}  {than}{shared}{target}")
    copied = bandwidth.scaled(1e-9)
    lines += ["", f"copy: {copied} GB/s, n = {copied.n}", ", ".join(f"{k}: {v}" for k, v in machine.items())]
    return "\n".join(lines) + "\n"
