"""Folds × mirror images of one case: every pass, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reactkd_auto.inference.importance import Pass, class_activation, node_importance, recorded, signed_shares
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.networks.readout import RegionReadout
from reactkd_auto.predictor import Axes, predict_batch

if TYPE_CHECKING:
    from reactkd_auto.preprocessing.batch import Batch


@dataclass(frozen=True)
class Member:
    """One pass of one fold.

    Attributes:
        axes: Mirrored axes (0 z, 1 y, 2 x).
        probabilities: (K,).
        run: The pass itself, of a batch of one.
        readout: Of the student that made it.
    """

    axes: Axes
    probabilities: NDArray[np.float64]
    run: Pass
    readout: RegionReadout


@dataclass(frozen=True)
class Ensemble:
    """All passes of one case."""

    members: tuple[Member, ...]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(K,) mean over the members."""
        mean = np.mean([m.probabilities for m in self.members], axis=0)
        return np.asarray(mean / mean.sum())

    @property
    def target(self) -> int:
        """Index of the most probable class."""
        return int(self.probabilities.argmax())

    @property
    def spread(self) -> float:
        """Standard deviation over the members of the most probable class's probability."""
        return float(np.std([m.probabilities[self.target] for m in self.members]))

    @property
    def node_valid(self) -> NDArray[np.bool_]:
        """(N,) nodes that took part."""
        return np.asarray(self.members[0].run.outputs.node_valid[0].cpu().numpy())

    @property
    def node_attention(self) -> NDArray[np.float64]:
        """(N,) mean attention."""
        return np.mean([_numbers(m.run.outputs.node_attention[0]) for m in self.members], axis=0)

    @property
    def node_probabilities(self) -> NDArray[np.float64]:
        """(N, K) the answer if the graph's whole vote were this node's: mean of softmax(GAP logits + node logits)."""
        votes = [m.run.outputs.gap_logits + m.run.outputs.node_logits[0] for m in self.members]
        return np.mean([_numbers(torch.softmax(v, dim=1)) for v in votes], axis=0)

    def node_shares(self) -> NDArray[np.float64]:
        """(members, N) how each node speaks for (+) or against (−) the answer, see `signed_shares`."""
        rows = [node_importance(m.readout, m.run.state, self.target)[0] for m in self.members]
        return np.stack([signed_shares(_numbers(row)) for row in rows])

    def activation_maps(self) -> list[Tensor]:
        """Class activation maps [z, y, x] on the deepest grid, positive part only, turned back where mirrored."""
        maps = [class_activation(m.readout, m.run.state, self.target)[0] for m in self.members]
        return [a.clamp_min(0).flip(m.axes) for a, m in zip(maps, self.members, strict=True)]


def run_ensemble(model: LoadedModel, batch: Batch, *, flips: bool) -> Ensemble:
    """Predict a batch of one case with every fold's student."""
    members = []
    for student in model.students:
        with recorded(student) as passes:
            prediction = predict_batch(student, batch, model.plan, model.dataset, model.config.channels, flips=flips)
        for axes, row, run in zip(prediction.flips, prediction.probabilities[:, 0], passes, strict=True):
            members.append(Member(axes, _numbers(row), run, student.readout))
    return Ensemble(tuple(members))


def _numbers(values: Tensor) -> NDArray[np.float64]:
    return np.asarray(values.detach().cpu().numpy(), dtype=np.float64)
