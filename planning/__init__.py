"""Planning: measures a cohort, decides every stage with reasons, assigns folds, preprocesses the cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reactkd_auto.planning.api import plan_and_preprocess

__all__ = ["plan_and_preprocess"]


def __getattr__(name: str) -> Any:
    """Load the API only when it is used, so that ``-h`` is fast."""
    if name in __all__:
        from reactkd_auto.planning import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
