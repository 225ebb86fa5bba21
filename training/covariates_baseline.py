"""What clinical covariates say without any image: the baseline that stands beside a model's tables."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from reactkd_auto.cases import CaseProperties
from reactkd_auto.networks import CovariateBranch
from reactkd_auto.training.run import Run


def covariates_baseline(run: Run, fold: int) -> dict[str, list[float]]:
    """Class probabilities of a fold's held-out cases, by logistic regression on the graded cases of all other folds.

    Covariates are encoded as the networks' branch encodes them; classes weigh alike, regularisation is scikit-learn's.
    Empty without covariates, or where the other folds have one class only.
    """
    from sklearn.linear_model import LogisticRegression

    graded = [c for c in run.training_cases(fold) if c.label is not None]
    labels = [c.label for c in graded]
    if not run.dataset.covariates or len(set(labels)) < 2:
        return {}
    branch = CovariateBranch(run.dataset.covariates, len(run.dataset.classes))
    branch.standardise_by(_values(graded))
    held_out = run.held_out_cases(fold)
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(branch.encode(_values(graded)).numpy(), labels)
    found = model.predict_proba(branch.encode(_values(held_out)).numpy())
    answers = {case.case: [0.0] * len(run.dataset.classes) for case in held_out}
    for case, row in zip(held_out, found, strict=True):
        for label, probability in zip(model.classes_, row, strict=True):
            answers[case.case][int(label)] = float(probability)
    return answers


def _values(cases: Sequence[CaseProperties]) -> torch.Tensor:
    return torch.tensor([c.covariates for c in cases], dtype=torch.float32)
