"""What clinical covariates say of the class: a small network beside the images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from reactkd_auto.dataset import Covariate

WIDTH = 16
SMALLEST_SD = 1e-6


class CovariateBranch(nn.Module):
    """Covariates → logits that are added to those of the images.

    Numbers are standardised by the training cases' mean and standard deviation (buffers, hence stored with the
    weights); categories are one-hot. A missing value is 0, the mean or no category, with an indicator that says so.
    It begins at chance: the last layer's weights are 0.

    Args:
        covariates: The dataset's.
        classes: K.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, covariates: Sequence[Covariate], classes: int) -> None:
        super().__init__()
        self.covariates = tuple(covariates)
        self.register_buffer("mean", torch.zeros(len(self.covariates)))
        self.register_buffer("sd", torch.ones(len(self.covariates)))
        features = sum(1 + max(1, len(c.categories)) for c in self.covariates)
        self.hidden = nn.Linear(features, WIDTH)
        self.logits = nn.Linear(WIDTH, classes)
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    @torch.no_grad()
    def standardise_by(self, values: Tensor) -> None:
        """Take mean and standard deviation of each covariate from the training cases' values (N, V), NaN if missing."""
        known = ~values.isnan()
        count = known.sum(0).clamp(min=1)
        mean = torch.where(known, values, 0.0).sum(0) / count
        squares = torch.where(known, (values - mean) ** 2, 0.0).sum(0) / count
        self.mean.copy_(mean)
        self.sd.copy_(torch.where(squares > SMALLEST_SD**2, squares.sqrt(), 1.0))

    def missing(self, cases: int) -> Tensor:
        """(cases, V) values of which none is known."""
        return self.mean.new_full((cases, len(self.covariates)), torch.nan)

    def encode(self, values: Tensor) -> Tensor:
        """(B, V) numbers and category indices, NaN if missing → (B, F) features."""
        parts = []
        for i, covariate in enumerate(self.covariates):
            value, missing = values[:, i], values[:, i].isnan()
            if covariate.kind == "categorical":
                known = (value[:, None] == torch.arange(len(covariate.categories), device=value.device)).float()
            else:
                known = ((value - self.mean[i]) / self.sd[i])[:, None]
            parts += [torch.where(missing[:, None], 0.0, known), missing[:, None].float()]
        return torch.cat(parts, 1)

    def forward(self, values: Tensor) -> Tensor:
        """(B, V) → logits (B, K) in float32."""
        logits: Tensor = self.logits(functional.gelu(self.hidden(self.encode(values))))
        return logits.float()


def added(branch: nn.Module | None, logits: Tensor, values: Tensor | None) -> Tensor:
    """Logits (B, K) and what ``branch`` adds to them; without ``values`` every covariate is missing."""
    if branch is None:
        return logits
    assert isinstance(branch, CovariateBranch)
    total: Tensor = logits + branch(branch.missing(len(logits)) if values is None else values)
    return total
