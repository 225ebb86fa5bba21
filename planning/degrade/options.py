"""What can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from reactkd_auto.errors import UserError

if TYPE_CHECKING:
    from reactkd_auto.dose import DoseCalibration
    from reactkd_auto.dose.degrade import Coupling, Engine

DOSES = (0.5, 0.25, 0.1, 0.05)


@dataclass(frozen=True)
class Options:
    """What is asked for, the same for every CT; see `reactkd_auto.planning.degrade.api.degrade_ct`."""

    doses: tuple[float, ...]
    engine: Engine
    coupling: Coupling
    bias: bool
    kernel: str
    calibration: DoseCalibration | None
    seed: int


def check_options(options: Options) -> None:
    """Refuse what cannot be done, before any CT is read.

    Raises:
        UserError: An unknown choice, a fraction out of range, no fraction below 1, or one given twice.
    """
    from reactkd_auto.dose.degrade import Coupling, Engine, added_doses
    from reactkd_auto.dose.parameters import KERNEL_MTF50

    for name, value, choices in (
        ("engine", options.engine, get_args(Engine)),
        ("coupling", options.coupling, get_args(Coupling)),
        ("kernel", options.kernel, tuple(KERNEL_MTF50)),
    ):
        if value not in choices:
            raise UserError(f"--{name}: found {value!r}, expected {' or '.join(choices)}.")
    if not added_doses(options.doses, option="--dose"):
        raise UserError("--dose: found only 1, which is the CT as it is, expected at least one fraction below 1.")
    names = [dose_name(a) for a in options.doses]
    if twice := next((a for a, n in zip(options.doses, names, strict=True) if names.count(n) > 1), None):
        raise UserError(f"--dose: found {twice:g} twice, expected different fractions.")


def dose_name(dose: float) -> str:
    """0.1 → ``dose010``, 0.025 → ``dose002p5``: per cent with three digits before the point."""
    whole, _, rest = f"{100 * dose:.6g}".partition(".")
    return f"dose{int(whole):03d}" + (f"p{rest}" if rest else "")
