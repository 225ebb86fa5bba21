"""Which teachers a student should learn from: those that, out of fold, know more than the CT alone tells."""

from __future__ import annotations

import logging
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from reactkd_auto.cases import CaseProperties
from reactkd_auto.errors import UserError
from reactkd_auto.training.out_of_fold import training_logits
from reactkd_auto.training.preset import TeacherName
from reactkd_auto.training.readiness_verdict import FEWEST_PATIENTS
from reactkd_auto.training.run import Run
from reactkd_auto.training.teachers_stage import Logits, probabilities
from reactkd_auto.training.watch import auc

TEACHERS: tuple[str, ...] = typing.get_args(TeacherName)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """Teachers that speak, the one whose features are distilled first, and their mean cross-entropies out of fold."""

    heads: tuple[str, ...]
    losses: tuple[float, ...] | None


def choose_teachers(run: Run, fold: int) -> Choice:
    """The teachers that the preset's weighting asks, less those that are switched off.

    Cross-fitted teachers are judged on the student's training cases, by sets that saw neither the case nor the
    student's fold: one whose macro AUC is no better than that of the dose teacher, which sees the CT alone, is switched
    off, if there are patients enough to tell. In-sample teachers saw all these cases, so what they are worth is not
    known and all speak.

    Raises:
        UserError: The only teacher that the preset has is switched off.
    """
    wanted = _wanted(run)
    if len(wanted) == 1 and not run.plan.structure_function_teacher:
        return Choice(wanted, None)
    logits = training_logits(run, fold)
    if not logits:
        logger.info(
            "fold %d: teachers saw the student's training cases, so what they are worth out of fold is not known: none "
            "is switched off%s; cross-fitted teachers would tell.",
            fold,
            " and weights follow cases that they were trained on" if _by_merit(run) else "",
        )
        return Choice(wanted, None)
    graded = [c for c in run.training_cases(fold) if c.label is not None]
    on = tuple(head for head in wanted if head == "dose" or _better(head, logits, graded, fold))
    if not on and run.preset.structure_alone:
        raise UserError(
            f"preset {run.preset.name}, fold {fold}: its only teacher knows no more than the CT alone and is switched "
            "off, expected one that teaches; without it this is the preset baseline."
        )
    on = on or ("dose",)
    seen = [c for c in graded if any(c.present[1:])] or graded  # all are compared on what each can judge
    return Choice(on, tuple(_mean_loss(logits[head], seen) for head in on))


def _by_merit(run: Run) -> bool:
    """Whether teachers are weighed by how well they answer."""
    return run.preset.weighting not in (*TEACHERS, "mean")


def _wanted(run: Run) -> tuple[str, ...]:
    if not run.plan.structure_function_teacher:
        return ("fused",)
    return (run.preset.weighting,) if run.preset.weighting in TEACHERS else TEACHERS


def _better(head: str, logits: Logits, graded: Sequence[CaseProperties], fold: int) -> bool:
    """Whether a teacher beats the dose teacher on the cases that have what it is for."""
    cases = [c for c in graded if any(c.present[1:])]
    patients = [len({c.patient for c in cases if c.label == label}) for label in {c.label for c in graded}]
    ours, alone = (auc(cases, probabilities(_rows(logits[h], cases))) for h in (head, "dose"))
    if ours is None or alone is None or min(patients) < FEWEST_PATIENTS:
        logger.info(
            "fold %d: %d patients of the rarest class have a privileged channel, too few to judge teacher %s (at least "
            "%d); it teaches.",
            *(fold, min(patients, default=0), head, FEWEST_PATIENTS),
        )
        return True
    numbers = f"out of fold its AUC is {ours:.3f}, the CT-only dose teacher's {alone:.3f} ({len(cases)} cases)"
    if ours > alone:
        logger.info("fold %d: teacher %s teaches: %s.", fold, head, numbers)
        return True
    logger.warning("fold %d: teacher %s is switched off: %s.", fold, head, numbers)
    return False


def _mean_loss(logits: Mapping[str, Sequence[float]], graded: Sequence[CaseProperties]) -> float:
    rows = torch.tensor([logits[c.case] for c in graded])
    return float(functional.cross_entropy(rows, torch.tensor([c.label for c in graded])))


def _rows(logits: Mapping[str, Sequence[float]], cases: Sequence[CaseProperties]) -> dict[str, Sequence[float]]:
    return {c.case: logits[c.case] for c in cases}
