"""Under which conditions the test set is predicted, and what is compared with what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from reactkd_auto.errors import UserError
from reactkd_auto.evaluation.sweep import SweepKind, SweepTables
from reactkd_auto.inference.inputs import InputCase
from reactkd_auto.inference.model import LoadedModel

RegionChoice = Literal["drawn", "automatic", "both"]


@dataclass(frozen=True)
class Condition:
    """One way to predict a case.

    Attributes:
        folder: Where its answers lie in the output folder.
        name: What the page calls it.
        dose: Dose fraction; 1: the CT as it is.
        channels: Names of the channels that the student gets; None: those that the case has.
        drawn: Whether drawn region maps are used where there are some.
        needs_channels: Only cases with these channels are predicted.
        needs_drawn: Only cases with a drawn region map are predicted.
    """

    folder: str
    name: str
    dose: float = 1.0
    channels: tuple[str, ...] | None = None
    drawn: bool = True
    needs_channels: tuple[int, ...] = ()
    needs_drawn: bool = False

    def fits(self, case: InputCase) -> bool:
        """Whether a case can be predicted under this condition."""
        return set(self.needs_channels) <= set(case.channels) and (case.regions is not None or not self.needs_drawn)


@dataclass(frozen=True)
class Sweep:
    """Conditions of one kind; the first is the reference."""

    kind: SweepKind
    conditions: tuple[Condition, ...]

    def tables(self, output: Path) -> SweepTables:
        """Where the answers are written."""
        names = {c.name: output / c.folder / "predictions.csv" for c in self.conditions}
        doses = {c.name: c.dose for c in self.conditions} if self.kind == "dose" else None
        return SweepTables(self.kind, names, doses)


def dose_sweep(levels: Sequence[float], main: Condition, model: LoadedModel) -> Sweep:
    """The CT as it is, then each lower dose, falling.

    Raises:
        UserError: A fraction out of range or none below 1, or a model of images that are no CT.
    """
    from reactkd_auto.dose.degrade import added_doses

    if model.dataset.base.role != "ct":
        raise UserError(f"--dose_levels: the model reads {model.dataset.base.role} images, expected CT.")
    doses = added_doses(levels, option="--dose_levels")
    if not doses:
        raise UserError("--dose_levels: found only 1, which is the CT as it is, expected at least one below 1.")
    lower = (Condition(f"dose_{100 * a:g}", f"{100 * a:g} %", dose=a, drawn=main.drawn) for a in doses)
    return Sweep("dose", (_renamed(main, "100 %"), *lower))


def channel_sweep(main: Condition, model: LoadedModel) -> Sweep:
    """All channels of the student, then every smaller subset; the base image is in each.

    Raises:
        UserError: The student takes the base image alone.
    """
    base, *further = model.config.channels
    if not further:
        raise UserError(f"--channel_subsets: the model takes {base} alone, expected a student of several channels.")
    needed = tuple(model.dataset.channel_index(name) for name in model.config.channels)
    subsets = [(base, *s) for size in range(len(further) - 1, -1, -1) for s in combinations(further, size)]
    fewer = (
        Condition(f"channels_{'_'.join(s)}", " + ".join(s), channels=s, drawn=main.drawn, needs_channels=needed)
        for s in subsets
    )
    return Sweep("channels", (_renamed(main, " + ".join(model.config.channels)), *fewer))


def region_sweep(main: Condition, model: LoadedModel) -> Sweep:
    """Drawn regions, then the model's own.

    Raises:
        UserError: The model has no localiser.
    """
    require_localiser(model)
    return Sweep(
        "regions",
        (_renamed(main, "drawn"), Condition("regions_automatic", "automatic", drawn=False, needs_drawn=True)),
    )


def require_localiser(model: LoadedModel) -> None:
    """Refuse a model that finds no regions by itself.

    Raises:
        UserError: It has no localiser.
    """
    if not model.localisers:
        raise UserError(f"--regions: {model.path} has no localiser, expected one that finds regions.")


def _renamed(main: Condition, name: str) -> Condition:
    return Condition(main.folder, name, drawn=main.drawn)
