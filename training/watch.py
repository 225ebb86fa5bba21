"""Looking at held-out cases while training: cheap, and selecting nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reactkd_auto.cases import CaseProperties
from reactkd_auto.evaluation.bootstrap import macro_auc

MOST_WATCHED_CASES = 48


def watched_cases(cases: Sequence[CaseProperties]) -> list[CaseProperties]:
    """Graded held-out cases, evenly thinned to at most 48."""
    graded = [c for c in cases if c.label is not None]
    step = max(1, -(-len(graded) // MOST_WATCHED_CASES))
    return graded[::step]


def watch_every(epochs: int) -> int:
    """Epochs between two looks: about ten looks in all."""
    return max(1, epochs // 10)


def auc(cases: Sequence[CaseProperties], probabilities: dict[str, list[float]]) -> float | None:
    """Macro AUC of graded cases, or None where they are all of one class."""
    labels = np.array([c.label for c in cases], dtype=np.int64)
    if len(np.unique(labels)) < 2:
        return None
    scores = np.array([probabilities[c.case] for c in cases])
    return float(macro_auc(labels, scores, np.ones((1, len(labels))))[0])
