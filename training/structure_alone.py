"""When the structure-function teacher alone may teach."""

from __future__ import annotations

from collections.abc import Collection

from reactkd_auto.cases import CaseProperties
from reactkd_auto.errors import UserError
from reactkd_auto.plan import Plan
from reactkd_auto.training.preset import Preset


def check_structure_alone(preset: Preset, plan: Plan, cases: Collection[CaseProperties]) -> None:
    """Refuse a preset whose only teacher is the structure-function teacher, where that has nothing to say.

    Raises:
        UserError: The plan has none, or some cases have no privileged channel.
    """
    if not preset.structure_alone:
        return
    if not plan.structure_function_teacher:
        raise UserError(f"preset {preset.name}: the plan has no structure-function teacher, expected one.")
    if bare := sorted(c.case for c in cases if not any(c.present[1:])):
        raise UserError(
            f"preset {preset.name}: {len(bare)} of {len(cases)} cases have no privileged channel (first {bare[0]}), "
            "expected one in all, for its only teacher judges nothing else."
        )
