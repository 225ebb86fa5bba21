"""What the options choose: which series become channels, which structures become regions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from reactkd_auto.dataset import ChannelRole, Region, RegionRole, check_safe_name
from reactkd_auto.errors import UserError

ANY = "*"


@dataclass(frozen=True)
class ChannelChoice:
    """A channel beside the CT: every series of its kind that fits the pattern."""

    name: str
    kind: Literal["PT", "MR"]
    pattern: str

    @property
    def role(self) -> ChannelRole:
        """As ``dataset.json`` says it."""
        return "pet_suv" if self.kind == "PT" else "mr"


@dataclass(frozen=True)
class RegionChoice:
    """A region: all structures whose name fits the pattern."""

    region: Region
    pattern: str


@dataclass(frozen=True)
class Choices:
    """All of them; ``ct`` chooses among several CT series."""

    ct: str
    channels: tuple[ChannelChoice, ...]
    regions: tuple[RegionChoice, ...]


def fits(pattern: str, texts: Iterable[str]) -> bool:
    """Whether a pattern with ``*`` and ``?`` fits one of the texts, in capitals or not."""
    literal = pattern.lower().replace("[", "[[]")
    return any(fnmatchcase(t.lower(), literal) for t in texts)


def channel_choices(pet: Sequence[str], mr: Sequence[str]) -> tuple[ChannelChoice, ...]:
    """From options ``NAME=PATTERN`` (or ``PATTERN`` alone).

    Raises:
        UserError: A name that is no name, or twice the same.
    """
    channels = (
        *(ChannelChoice(name, "PT", pattern) for name, pattern in map(_named, pet)),
        *(ChannelChoice(name, "MR", pattern) for name, pattern in map(_named, mr)),
    )
    _check_different("channels", ["CT", *(c.name for c in channels)])
    return channels


def region_choices(organ: Sequence[str], context: Sequence[str], lesion: Sequence[str]) -> tuple[RegionChoice, ...]:
    """From options ``NAME=PATTERN`` (or ``PATTERN`` alone); later values cover earlier ones, lesions come last.

    Raises:
        UserError: A name that is no name, or twice the same.
    """
    roles: tuple[tuple[RegionRole, Sequence[str]], ...] = (("organ", organ), ("context", context), ("lesion", lesion))
    named = [(role, *_named(text)) for role, texts in roles for text in texts]
    _check_different("regions", [name for _, name, _ in named])
    return tuple(
        RegionChoice(Region(name, value, role), pattern) for value, (role, name, pattern) in enumerate(named, start=1)
    )


def _named(text: str) -> tuple[str, str]:
    """Name and pattern; a pattern alone names itself by what is left without its wildcards."""
    name, equals, pattern = text.partition("=")
    if not equals:
        name, pattern = re.sub(r"[^A-Za-z0-9_-]+", "_", text.replace("*", "").replace("?", "")).strip("_"), text
    try:
        check_safe_name(name, "name")
    except ValueError as error:
        raise UserError(f"option {text!r}: {error}; write NAME=PATTERN.") from None
    return name, pattern


def _check_different(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise UserError(f"{what} {', '.join(names)}: expected different names; write NAME=PATTERN.")
