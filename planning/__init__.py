"""Planning: measures a cohort, decides every stage with reasons, assigns folds, preprocesses the cases.

`degrade_ct` stands alone: CTs at lower doses, for people who train nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reactkd_auto.planning.api import plan_and_preprocess
    from reactkd_auto.planning.degrade.api import degrade_ct

__all__ = ["degrade_ct", "plan_and_preprocess"]
_MODULES = {"degrade_ct": "reactkd_auto.planning.degrade.api", "plan_and_preprocess": "reactkd_auto.planning.api"}


def __getattr__(name: str) -> Any:
    """Load the API only when it is used, so that ``-h`` is fast."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
