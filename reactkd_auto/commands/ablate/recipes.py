"""What is trained: recipes by name, every fold and seed of them, and this machine's share of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from reactkd_auto.errors import UserError
from reactkd_auto.execution.parts import Part

TeacherMode = Literal["in_sample", "cross_fitted"]
MODES: tuple[str, ...] = get_args(TeacherMode)


START = re.compile(r"pretrained(_lora([1-9]\d*))?")


@dataclass(frozen=True)
class Recipe:
    """A preset and what differs from it.

    Attributes:
        preset: Its name.
        teachers: Whether its teachers saw the cases that the student learns from; None: as the preset says.
        start: ``pretrained``: encoders begin with pretrained weights; ``pretrained_loraR``: these are frozen and learn
            updates of rank R; None: random weights.
        channels: Names of the channels that its student sees; empty: as the preset says.
    """

    preset: str
    teachers: TeacherMode | None = None
    start: str | None = None
    channels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As it is asked for: ``auto``, ``auto:in_sample`` or ``auto:in_sample:pretrained_lora4:CT+FDG``."""
        return ":".join(part for part in (self.preset, self.teachers, self.start, "+".join(self.channels)) if part)

    @property
    def lora_rank(self) -> int | None:
        """R of ``pretrained_loraR``."""
        found = START.fullmatch(self.start or "")
        return int(found[2]) if found and found[2] else None

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """``PRESET``, then as far as wanted ``:TEACHERS``, ``:START`` and ``:CHANNELS``, these joined by ``+``.

        Any other last word is taken for a channel; whether there is such a one, the dataset tells.

        Raises:
            UserError: Something else.
        """
        preset, *parts = text.split(":")
        teachers = next((mode for mode in get_args(TeacherMode) if parts[:1] == [mode]), None)
        left = parts if teachers is None else parts[1:]
        start = left.pop(0) if left and START.fullmatch(left[0]) else None
        if len(left) > 1 or any(not word or word in MODES or word.startswith("pretrained") for word in left):
            raise UserError(
                f"recipe {text!r}: found {':'.join(left)!r}, expected {' or '.join(MODES)}, then pretrained or "
                "pretrained_loraR (R a rank such as 4), then channels such as CT+FDG."
            )
        return cls(preset, teachers, start, tuple(left[0].split("+")) if left else ())


@dataclass(frozen=True)
class Training:
    """One fold of one recipe with one seed."""

    recipe: Recipe
    seed: int
    fold: int

    def __str__(self) -> str:
        return f"{self.recipe.name}, seed {self.seed}, fold {self.fold}"


def trainings(recipes: Sequence[Recipe], seeds: Sequence[int], folds: Sequence[int]) -> tuple[Training, ...]:
    """All of them; recipes innermost, so that those who share teachers follow one another and a cut leaves pairs."""
    return tuple(Training(recipe, seed, fold) for seed in seeds for fold in folds for recipe in recipes)


def share(everything: Sequence[Training], part: Part | None) -> tuple[Training, ...]:
    """What one of several machines trains, None: everything; recipes of one seed and fold stay together."""
    if part is None:
        return tuple(everything)
    return tuple(training for group in together(everything)[part.number :: part.count] for training in group)


def together(everything: Sequence[Training]) -> list[tuple[Training, ...]]:
    """Trainings by seed and fold: recipes of a group share teachers, so one place does them one after the other."""
    groups: dict[tuple[int, int], list[Training]] = {}
    for training in everything:
        groups.setdefault((training.seed, training.fold), []).append(training)
    return [tuple(group) for group in groups.values()]
