"""Clinical covariates in training: their statistics, and hiding them at random, so that missing ones are understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from reactkd_auto.cases import CaseProperties
from reactkd_auto.covariates import Values, unknown
from reactkd_auto.dataset import Dataset
from reactkd_auto.networks import CovariateBranch

HIDDEN_SHARE = 0.1
"""Few enough to learn from the values, often enough that a missing one is nothing new."""


def with_covariates(
    cases: Mapping[str, CaseProperties], values: Mapping[str, Values], dataset: Dataset
) -> dict[str, CaseProperties]:
    """The cases with their values; all missing where the table does not name a case."""
    if not dataset.covariates:
        return dict(cases)
    nothing = unknown(dataset.covariates)
    return {name: replace(case, covariates=values.get(name, nothing)) for name, case in cases.items()}


def standardise_by(network: nn.Module, cases: Sequence[CaseProperties]) -> None:
    """Give every covariate branch of a network the training cases' means and standard deviations."""
    for module in network.modules():
        if isinstance(module, CovariateBranch):
            module.standardise_by(torch.tensor([c.covariates for c in cases], dtype=torch.float32))


def hide_covariates(values: Tensor | None, generator: torch.Generator, *, whole: tuple[int, slice]) -> Tensor | None:
    """Make each value missing with probability 0.1, sample by sample.

    Args:
        values: (B, V), NaN if missing; None where the dataset has no covariates, then nothing is drawn.
        generator: On the CPU.
        whole: Samples of the whole batch, and which of them these are (`Moment.whole`).
    """
    if values is None:
        return None
    samples, place = whole
    hidden = (torch.rand(samples, values.shape[1], generator=generator) < HIDDEN_SHARE)[place]
    return values.masked_fill(hidden.to(values.device, non_blocking=True), torch.nan)
