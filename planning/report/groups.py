"""The cohort by class, which is how every figure and table of the report colours and counts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reactkd_auto.dataset import Dataset
from reactkd_auto.drawing.style import class_colour
from reactkd_auto.fingerprint import CaseFingerprint

UNGRADED = "ungraded"
UNGRADED_COLOUR = "#b9c2cc"


@dataclass(frozen=True)
class Group:
    """Cases of one class, or the ungraded ones."""

    name: str
    colour: str
    cases: tuple[CaseFingerprint, ...]

    @property
    def patients(self) -> int:
        """How many people they are of."""
        return len({c.patient for c in self.cases})


def by_class(cases: Sequence[CaseFingerprint], dataset: Dataset) -> list[Group]:
    """One group a class, lowest grade first, then the ungraded cases where there are some."""
    groups = [
        Group(name, class_colour(k), tuple(c for c in cases if c.label == k)) for k, name in enumerate(dataset.classes)
    ]
    ungraded = tuple(c for c in cases if c.label is None)
    return [*groups, Group(UNGRADED, UNGRADED_COLOUR, ungraded)] if ungraded else groups
