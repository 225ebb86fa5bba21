"""Which cases an epoch shows, in which order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reactkd_auto.cases import CaseProperties
from reactkd_auto.plan import MOST_UNGRADED, Plan


def draw_epoch(
    cases: Sequence[CaseProperties], count: int, *, balanced: bool, generator: np.random.Generator
) -> list[CaseProperties]:
    """``count`` cases in random order, classes spread evenly.

    Ungraded cases get their share of the cases, but at most half of the epoch. Balanced: graded classes get equal
    shares of the rest; otherwise all graded cases are one group. Within a group each case is shown once before any is
    shown again.

    Args:
        cases: To draw from.
        count: Batch size × iterations.
        balanced: Whether classes get equal shares.
        generator: The only source of randomness.
    """
    groups = _groups(cases, balanced)
    shown: list[CaseProperties] = []
    for group, quota in zip(groups, _quotas([w for w, _ in groups], count, generator), strict=True):
        shown += _cycle(group[1], quota, generator)
    return _interleave([shown[i] for i in generator.permutation(len(shown))], generator)


def _interleave(cases: Sequence[CaseProperties], generator: np.random.Generator) -> list[CaseProperties]:
    """Spread each class evenly over the epoch, so that batches have nearly its proportions.

    Batches of one class would spend the first steps on pushing all logits up and down together.
    """
    labels = [c.label for c in cases]
    place = np.empty(len(cases))
    for label in dict.fromkeys(labels):
        members = [i for i, other in enumerate(labels) if other == label]
        place[members] = (np.arange(len(members)) + generator.uniform()) / len(members)
    return [cases[i] for i in np.argsort(place, kind="stable")]


def class_weights(cases: Sequence[CaseProperties], classes: int) -> list[float]:
    """n / (K n_k) of the graded cases: the mean weight over them is 1; 1 for a class without cases."""
    counts = np.bincount([c.label for c in cases if c.label is not None], minlength=classes)
    return [float(counts.sum() / (classes * n)) if n else 1.0 for n in counts]


def planned_class_weights(cases: Sequence[CaseProperties], plan: Plan, classes: int) -> list[float] | None:
    """Class weights where the plan balances by them, else None."""
    return class_weights(cases, classes) if plan.class_balance == "class_weights" else None


def _groups(cases: Sequence[CaseProperties], balanced: bool) -> list[tuple[float, list[CaseProperties]]]:
    """(share of the epoch, cases) of each group that has cases."""
    graded, ungraded = ([c for c in cases if (c.label is None) == none] for none in (False, True))
    labels = sorted({c.label for c in graded if c.label is not None})
    classes = [[c for c in graded if c.label == label] for label in labels] if balanced else [graded]
    rest = min(len(ungraded) / len(cases), MOST_UNGRADED) if graded else 1.0
    groups = [((1 - rest) / len(classes), members) for members in classes] if graded else []
    return groups + ([(rest, ungraded)] if ungraded else [])


def _quotas(shares: Sequence[float], count: int, generator: np.random.Generator) -> list[int]:
    """Whole numbers that sum to ``count`` and in the mean over epochs are share × count."""
    exact = np.asarray(shares) * count
    quotas = np.floor(exact + 1e-9).astype(int)
    rest = np.clip(exact - quotas, 0, None)
    for _ in range(count - int(quotas.sum())):
        chosen = generator.choice(len(rest), p=rest / rest.sum())
        quotas[chosen] += 1
        rest[chosen] = 0
    return [int(q) for q in quotas]


def _cycle(cases: Sequence[CaseProperties], count: int, generator: np.random.Generator) -> list[CaseProperties]:
    order: list[int] = []
    while len(order) < count:
        order += list(generator.permutation(len(cases)))
    return [cases[i] for i in order[:count]]
