"""A share of the cases, for one of several processes such as those of a SLURM array."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from reactkd_auto.errors import UserError


@dataclass(frozen=True)
class Part:
    """Part ``number`` (from 0) of ``count``."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise UserError(
                f"--part_id {self.number}: expected 0…{self.count - 1}, a part of --num_parts {self.count}."
            )

    def share(self, names: Sequence[str]) -> set[str]:
        """Every ``count``-th name in alphabetical order."""
        return set(sorted(names)[self.number :: self.count])

    def __str__(self) -> str:
        return f"part {self.number} of 0…{self.count - 1}"


def add_part_options(parser: argparse.ArgumentParser) -> None:
    """``--num_parts`` and ``--part_id``."""
    parser.add_argument("--num_parts", type=int, default=1, help="do a share of the cases only, of so many parts")
    parser.add_argument("--part_id", type=int, help="which part, from 0; see the how-to page about clusters")


def chosen_part(num_parts: int, part_id: int | None) -> Part | None:
    """The part that the options name; None: everything.

    Raises:
        UserError: No such part, or parts without a number.
    """
    if part_id is not None:
        return Part(part_id, num_parts)
    if num_parts != 1:
        raise UserError(f"--num_parts {num_parts}: expected --part_id with it; at the end leave both out.")
    return None
