"""A training that ends in the middle, as after kill -9."""

from pkgutil import resolve_name

import pytest


class Killed(Exception):
    """Stands for kill -9: nothing gets a chance to be saved."""


def kill_at(patch: pytest.MonkeyPatch, target: str, at: int) -> None:
    """Let the ``at``-th call of a function fail; ``target`` is its dotted name."""
    before, calls = resolve_name(target), []

    def broken(*args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            raise Killed
        return before(*args, **kwargs)

    patch.setattr(target, broken)
