"""How much each teacher says in the mixture that a student learns, case by case.

Σ_k w_k KL(p_k ‖ q) and KL(Σ_k w_k p_k ‖ q) differ by what does not depend on the student q, so learning from several
teachers *is* learning from the mixture of their probabilities (with all other losses it is so by definition).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from reactkd_auto.training.preset import WeightingName


@dataclass(frozen=True)
class Votes:
    """What H teachers say of B cases of K classes.

    Attributes:
        logits: (H, B, K), out of fold where teachers are cross-fitted.
        saw: (B, H) share of what a teacher can see that was there: privileged channels for the structure-function
            teacher, else 1.
        label: (B,) class index, −1 for ungraded.
        losses: (H,) mean cross-entropy on the graded training cases out of fold; None where that is not known.
    """

    logits: Tensor
    saw: Tensor
    label: Tensor
    losses: Tensor | None


def mean(votes: Votes) -> Tensor:
    """1 each (You et al. 2017, doi 10.1145/3097983.3098135)."""
    return torch.ones_like(votes.saw)


def ca_mkd(votes: Votes) -> Tensor:
    """(1 − e^{L_k} / Σ_j e^{L_j}) / (H − 1), L the cross-entropy of the case (Zhang et al. 2022, arXiv 2201.00007).

    Ungraded cases, which the paper does not have, take the teachers' mean out-of-fold losses as L, and equal weights
    where these are not known.
    """
    graded = (votes.label >= 0)[None]
    known = votes.logits.new_zeros(len(votes.logits)) if votes.losses is None else votes.losses
    losses = torch.where(graded, _cross_entropy(votes), known[:, None])
    return ((1 - losses.softmax(0)) / max(1, len(losses) - 1)).T


def entropy_presence(votes: Votes) -> Tensor:
    """Share of its channels that a teacher saw × (1 − H(p) / ln K), our form of Kwon et al. 2020 (ICASSP, 7409–7413).

    A teacher that is sure says more; one that lacks a channel says less.
    """
    log_p = votes.logits.float().log_softmax(2)
    entropy = -(log_p.exp() * log_p).sum(2) / math.log(log_p.shape[2])
    return votes.saw * (1 - entropy).T


def performance(votes: Votes) -> Tensor:
    """e^{−L_k}, L the mean cross-entropy out of fold, else of the samples at hand (as in Ahmad et al. 2024, MTCM-KD).

    The paper (doi 10.1016/j.knosys.2024.111854) weighs teachers by their performance in segmentation; e^{−L}, the
    geometric mean of the probability of the true class, is ours. All weigh alike where nothing is graded.
    """
    losses = votes.losses
    if losses is None:
        graded = (votes.label >= 0).float()
        losses = (_cross_entropy(votes) * graded).sum(1) / graded.sum().clamp(min=1)
    return torch.exp(-losses).to(votes.saw)[None].expand_as(votes.saw)


WEIGHTINGS: dict[WeightingName, Callable[[Votes], Tensor]] = {
    "mean": mean,
    "ca_mkd": ca_mkd,
    "entropy_presence": entropy_presence,
    "performance": performance,
}
"""Weights (B, H), not normalised, by the name that a preset uses; where one teacher speaks alone, it needs none."""


def weigh(votes: Votes, weighting: WeightingName) -> Tensor:
    """Weights (B, H) that sum to 1; 0 for a teacher that saw nothing of what it is for."""
    weights = WEIGHTINGS[weighting](votes) * (votes.saw > 0)
    spoken = (votes.saw > 0).float()
    weights = torch.where(weights.sum(1, keepdim=True) > 1e-6, weights, spoken)
    return weights / weights.sum(1, keepdim=True)


def mixture(logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Logits z with softmax(z/T) = Σ_k w_k softmax(z_k/T).

    Args:
        logits: (H, B, …, K).
        weights: (B, H), summing to 1.
        temperature: T.
    """
    shape = (*weights.T.shape, *(1,) * (logits.ndim - 2))
    log_p = (logits.float() / temperature).log_softmax(-1)
    return temperature * (log_p + weights.float().T.reshape(shape).log()).logsumexp(0)


def _cross_entropy(votes: Votes) -> Tensor:
    """(H, B), of the graded cases; for others whatever comes out."""
    label = votes.label.clamp(min=0)
    losses = [functional.cross_entropy(z.float(), label, reduction="none") for z in votes.logits]
    return torch.stack(losses)
