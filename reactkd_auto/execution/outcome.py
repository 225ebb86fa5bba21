"""What becomes of one case."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from reactkd_auto.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class CaseFailure:
    """A case that could not be done: one sentence for a person; the traceback where it was not a user's mistake."""

    sentence: str
    traceback: str | None = None


def attempt(function: Callable[[Item], Result], item: Item) -> Result | CaseFailure:
    """The function's result, or why there is none."""
    try:
        return function(item)
    except UserError as error:
        return CaseFailure(str(error))
    except (Exception, SystemExit) as error:
        return CaseFailure(f"failed with {type(error).__name__}: {error}", traceback.format_exc())
