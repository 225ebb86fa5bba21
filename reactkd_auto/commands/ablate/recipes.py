"""What is trained: recipes by name, every fold and seed of them, and this machine's share of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from reactkd_auto.errors import UserError

TeacherMode = Literal["in_sample", "cross_fitted"]
MODES: tuple[str, ...] = get_args(TeacherMode)


@dataclass(frozen=True)
class Recipe:
    """A preset, and whether its teachers saw the cases that the student learns from (None: as the preset says)."""

    preset: str
    teachers: TeacherMode | None = None

    @property
    def name(self) -> str:
        """As it is asked for: ``auto``, or ``auto:in_sample``."""
        return self.preset if self.teachers is None else f"{self.preset}:{self.teachers}"

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """``PRESET`` or ``PRESET:TEACHERS``.

        Raises:
            UserError: Unknown teachers.
        """
        preset, colon, teachers = text.partition(":")
        if not colon:
            return cls(preset)
        for mode in get_args(TeacherMode):
            if mode == teachers:
                return cls(preset, mode)
        raise UserError(f"recipe {text!r}: teachers {teachers!r}, expected {' or '.join(MODES)}.")


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


def share(everything: Sequence[Training], *, num_parts: int, part_id: int) -> tuple[Training, ...]:
    """The part of the trainings that one of several machines does; recipes of one seed and fold stay together.

    Raises:
        UserError: No such part.
    """
    if num_parts < 1 or not 0 <= part_id < num_parts:
        raise UserError(f"--part_id {part_id} of --num_parts {num_parts}: expected 0…{num_parts - 1}.")
    groups = list(dict.fromkeys((t.seed, t.fold) for t in everything))
    mine = set(groups[part_id::num_parts])
    return tuple(t for t in everything if (t.seed, t.fold) in mine)
