"""Rows, verdicts and table of `reactkd_benchmark training`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reactkd_auto.plan import Triple

from .learners import OWN, PAPER, Who
from .measuring import Spread
from .real_training import RealTraining

TARGET_SPEED, TARGET_FLOPS, TARGET_PARAMETERS, TARGET_REAL = 3.0, 5.0, 2e6, 0.9


@dataclass(frozen=True)
class Row:
    """One learner on one input.

    Attributes:
        who: Learner.
        input: (z, y, x).
        samples: In a batch.
        parts_ms: Milliseconds of a step by part; ``load`` is not in ``step_ms``.
        step_ms: Of a step on a batch that lies on the device.
        memory_mb: At most, set-up included; None where it isn't measured.
        parameters: Of what learns.
        flops: Of one forward pass of one sample, a multiply-add as two.
        warm_up_s: Seconds of the first step where encoders are compiled, else None.
    """

    who: Who
    input: Triple
    samples: int
    parts_ms: dict[str, Spread]
    step_ms: Spread
    memory_mb: float | None
    parameters: int
    flops: int
    warm_up_s: float | None

    @property
    def compiled(self) -> bool:
        """Whether `torch.compile` fused the encoders."""
        return self.warm_up_s is not None

    @property
    def samples_per_second(self) -> float:
        """Of the median step."""
        return self.samples / self.step_ms.median * 1e3


@dataclass(frozen=True)
class Compiled:
    """What compiling a learner's encoders brings.

    Attributes:
        who: Learner.
        ratio: Of a step's time to that without; low and high from the luckiest and unluckiest pair of repeats.
        warm_up_s: Seconds of the first step.
    """

    who: Who
    ratio: Spread
    warm_up_s: float


@dataclass(frozen=True)
class Verdict:
    """A figure beside its target."""

    what: str
    value: float
    target: str
    met: bool


@dataclass(frozen=True)
class Result:
    """What `training.json` holds.

    Attributes:
        teachers: Whom the timed student learns from, in words.
        rows: The planned input first.
        real: Of the student at the planned input.
        machine: See `describe_machine`.
    """

    teachers: str
    rows: Sequence[Row]
    real: RealTraining
    machine: dict[str, Any]

    @property
    def compiled(self) -> list[Compiled]:
        """Each compiled row against the first like it that is not."""
        found = []
        for row in self.rows:
            if row.warm_up_s is not None:
                like = (r for r in self.rows if not r.compiled and (r.who, r.input) == (row.who, row.input))
                a, b = row.step_ms, next(like).step_ms
                ratio = Spread(a.median / b.median, a.low / b.high, a.high / b.low, a.n)
                found.append(Compiled(row.who, ratio, row.warm_up_s))
        return found

    @property
    def verdicts(self) -> list[Verdict]:
        """The targets; those against the paper at its input, which has the last rows."""
        at = {row.who: row for row in self.rows if not row.compiled}
        own, paper = (sum(1 / at[who].samples_per_second for who in both) for both in (OWN, PAPER))
        speed, flops = paper / own, at["paper's student"].flops / at["student"].flops
        parameters, share = at["student"].parameters, self.real.share
        return [
            Verdict(
                "samples/s of teachers and student, times the paper's networks", speed, "≥ 3", speed >= TARGET_SPEED
            ),
            Verdict("FLOPs of the student, times fewer than the paper's", flops, "≥ 5", flops >= TARGET_FLOPS),
            Verdict("parameters of the student", parameters, "≤ 2 M", parameters <= TARGET_PARAMETERS),
            Verdict("samples/s on real cases, share of that on resident samples", share, "≥ 0.9", share >= TARGET_REAL),
        ]


def table(result: Result) -> str:
    """Everything as text; medians with the range of repeats in brackets."""
    lines = [f"{'learner':<20}{'input':>12}{'batch':>6}{'ms a step':>24}{'samples/s':>10}"]
    lines[0] += f"{'MB':>7}{'parameters':>12}{'GFLOPs':>8}"
    for row in result.rows:
        lines += _of_row(row)
    lines += ["", f"teachers of the student: {result.teachers}", _of_real(result.real)]
    for c in result.compiled:
        lines.append(
            f"compiled {c.who}: a step takes {c.ratio} times as long as without, the first one {c.warm_up_s:.3g} s"
        )
    lines.append("")
    lines += [f"{v.what}: {v.value:.3g}, target {v.target}: {'met' if v.met else 'MISSED'}" for v in result.verdicts]
    lines += ["", ", ".join(f"{k}: {v}" for k, v in result.machine.items())]
    return "\n".join(lines) + "\n"


def _of_row(row: Row) -> list[str]:
    name = f"{row.who}, compiled" if row.compiled else row.who
    size, memory = "x".join(map(str, row.input)), "" if row.memory_mb is None else f"{row.memory_mb:.0f}"
    parts = ", ".join(f"{name} {ms}" for name, ms in row.parts_ms.items())
    return [
        f"{name:<20}{size:>12}{row.samples:>6}{row.step_ms!s:>24}{row.samples_per_second:>10.3g}{memory:>7}"
        f"{row.parameters / 1e6:>10.2f} M{row.flops / 1e9:>8.2f}",
        f"    {parts} ms",
    ]


def _of_real(real: RealTraining) -> str:
    resident = real.samples * real.steps / real.resident_seconds
    return (
        f"student on real cases: {real.samples_per_second:.3g} samples/s, on resident samples {resident:.3g} "
        f"(means of {real.steps} steps after {real.untimed} untimed ones)"
    )
