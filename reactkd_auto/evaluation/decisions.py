"""Would acting on the probabilities do more good than harm? Decision curves, one for each clinical yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bootstrap import PatientBootstrap
from .sample import Sample

THRESHOLDS = np.arange(2, 99, 2) / 100


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit of one yes-or-no decision over the threshold probability at which one would act.

    Attributes:
        question: What "yes" means, such as ``malignant`` or ``grade 2 or higher``.
        n_positive: Cases for which "yes" is right.
        thresholds: Threshold probabilities; t says that one missed case is worth (1 − t) / t needless actions.
        net_benefit, low, high: Of acting where the probability reaches the threshold, with the pointwise 95 %
            patient-bootstrap band, per case.
        treat_all: Net benefit of always acting; never acting is 0.
        better: At which thresholds the 95 % interval of the gain over the better of "always" and "never" lies above 0.
    """

    question: str
    n_positive: int
    thresholds: tuple[float, ...]
    net_benefit: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    treat_all: tuple[float, ...]
    better: tuple[bool, ...]

    @property
    def useful_range(self) -> str:
        """Thresholds between which acting on the model is better, in words; ``""`` where nowhere."""
        useful = [t for t, better in zip(self.thresholds, self.better, strict=True) if better]
        if not useful:
            return ""
        gaps = len(useful) < round((useful[-1] - useful[0]) / (THRESHOLDS[1] - THRESHOLDS[0])) + 1
        return f"{useful[0]:.0%}–{useful[-1]:.0%}" + (" with gaps" if gaps else "")


def questions(classes: Sequence[str], *, ordered: bool) -> dict[str, tuple[int, ...]]:
    """Binary decisions that classes pose: class indices that mean "yes", by name.

    Two classes pose one (the second). Grades pose one for each step ("this grade or higher"); unordered classes
    one for each class.
    """
    count = len(classes)
    if count == 2:
        return {classes[1]: (1,)}
    if not ordered:
        return {name: (k,) for k, name in enumerate(classes)}
    last = {classes[-1]: (count - 1,)}
    return {f"{classes[k]} or higher": tuple(range(k, count)) for k in range(1, count - 1)} | last


def decision_curves(sample: Sample, *, ordered: bool, seed: int) -> tuple[DecisionCurve, ...]:
    """The decision curve of each question for which both answers occur."""
    curves = []
    for question, indices in questions(sample.classes, ordered=ordered).items():
        positive = np.isin(sample.labels, indices)
        if positive.any() and not positive.all():
            curves.append(_curve(question, positive, sample.probabilities[:, indices].sum(axis=1), sample, seed))
    return tuple(curves)


def net_benefit(
    positive: NDArray[Any], probability: NDArray[Any], thresholds: NDArray[Any], weights: NDArray[Any]
) -> NDArray[np.float64]:
    """TP / n − FP / n · t / (1 − t) when acting where the probability is t or more (Vickers & Elkin 2006, eq. 1).

    Args:
        positive: (n,) bool.
        probability: (n,) of "yes".
        thresholds: (t,) strictly between 0 and 1.
        weights: (rows, n), not negative.

    Returns:
        (rows, t), per case.
    """
    worth = np.where(positive[:, None], 1.0, -(thresholds / (1 - thresholds)))
    acted = probability[:, None] >= thresholds
    return np.asarray(weights @ (acted * worth) / weights.sum(axis=1, keepdims=True))


def _curve(
    question: str, positive: NDArray[Any], probability: NDArray[Any], sample: Sample, seed: int
) -> DecisionCurve:
    always = np.ones(sample.n_cases)
    once = np.ones((1, sample.n_cases))
    bootstrap = PatientBootstrap(positive.astype(np.int64), sample.patients, seed=seed)
    models, gains = [], []
    for weights in bootstrap.weights():
        model = net_benefit(positive, probability, THRESHOLDS, weights)
        treat_all = net_benefit(positive, always, THRESHOLDS, weights)
        models.append(model)
        gains.append(model - np.maximum(treat_all, 0))
    low, high = np.quantile(np.concatenate(models), [0.025, 0.975], axis=0)
    return DecisionCurve(
        question=question,
        n_positive=int(positive.sum()),
        thresholds=tuple(THRESHOLDS.tolist()),
        net_benefit=tuple(net_benefit(positive, probability, THRESHOLDS, once)[0].tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        treat_all=tuple(net_benefit(positive, always, THRESHOLDS, once)[0].tolist()),
        better=tuple((np.quantile(np.concatenate(gains), 0.025, axis=0) > 0).tolist()),
    )
