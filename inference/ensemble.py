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
from reactkd_auto.inference.results import normalised_entropy
from reactkd_auto.networks.readout import RegionReadout
from reactkd_auto.predictor import Axes, predict_batch

if TYPE_CHECKING:
    from reactkd_auto.preprocessing.batch import Batch


@dataclass(frozen=True)
class Member:
    """One pass of one fold.

    Attributes:
        student: Position among the model's students, one a fold.
        axes: Mirrored axes (0 z, 1 y, 2 x).
        probabilities: (K,).
        run: The pass itself, of a batch of one.
        readout: Of the student that made it.
    """

    student: int
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
    def spread_of_folds(self) -> float:
        """The part of `spread` that is between folds: standard deviation of their means over flips."""
        return float(np.std([of_fold.mean() for of_fold in self._target_by_fold()]))

    @property
    def spread_of_flips(self) -> float:
        """The part within folds; both parts' squares add up to that of `spread`."""
        return float(np.sqrt(np.mean([of_fold.var() for of_fold in self._target_by_fold()])))

    @property
    def mutual_information(self) -> float:
        """Entropy of the mean less mean entropy of the members, over ln K: what members disagree about, 0…1.

        Depeweg et al., ICML 2018: of the entropy of an answer this is the epistemic part; the rest is doubt that all
        members share.
        """
        alone = [normalised_entropy(m.probabilities.tolist()) for m in self.members]
        return max(0.0, normalised_entropy(self.probabilities.tolist()) - float(np.mean(alone)))

    def _target_by_fold(self) -> list[NDArray[np.float64]]:
        """The predicted class's probability in every pass, fold by fold."""
        students = np.array([m.student for m in self.members])
        target = np.array([m.probabilities[self.target] for m in self.members])
        return [target[students == s] for s in np.unique(students)]

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
    for number, student in enumerate(model.students):
        with recorded(student) as passes:
            prediction = predict_batch(student, batch, model.plan, model.dataset, model.config.channels, flips=flips)
        for axes, row, run in zip(prediction.flips, prediction.probabilities[:, 0], passes, strict=True):
            members.append(Member(number, axes, _numbers(row), run, student.readout))
    return Ensemble(tuple(members))


def _numbers(values: Tensor) -> NDArray[np.float64]:
    return np.asarray(values.detach().cpu().numpy(), dtype=np.float64)
