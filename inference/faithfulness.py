"""Numbers that judge an explanation: does it point at lesions, does it name what counts, does it depend on the weights?

* Energy in lesions: share of the map's sum that lies on lesion voxels (the energy-based pointing game; Wang et al.,
  Score-CAM, CVPR-W 2020), beside what a map that is flat over all regions would have.
* Node-deletion curve (after the deletion metric of Petsiuk et al., RISE, BMVC 2018, with nodes for pixels): the
  answer's probability as nodes are taken out of the graph, most important first, against random orders.
* Model randomisation (Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018): rank correlation between the
  importance of a network's nodes and that of the same network with its weights shuffled. A correlation near 1 says
  that the explanation would look the same whatever the network had learnt.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from reactkd_auto.inference.importance import Pass, graph_votes
from reactkd_auto.networks import Student
from reactkd_auto.networks.readout import RegionReadout
from reactkd_auto.networks.standardise import RunningStandardisation

FEWEST_NODES = 3
"""Fewer have no rank correlation to speak of."""


def energy_share(image: NDArray[np.floating], mask: NDArray[np.bool_]) -> float | None:
    """Share of the positive part of a map that lies on a mask; None for a map of nothing."""
    positive = image.clip(min=0)
    total = float(positive.sum(dtype=np.float64))
    return float(positive[mask].sum(dtype=np.float64)) / total if total > 0 else None


def deletion_curves(readout: RegionReadout, run: Pass, target: int, orders: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of the answer as nodes are taken out one after the other.

    Args:
        readout: The student's.
        run: Its pass, of a batch of one.
        target: Class.
        orders: (R, n) node indices, each row an order of the case's n nodes.

    Returns:
        (R, n + 1), the first column with all nodes, the last one with none.
    """
    rows, count = orders.shape
    state = run.state
    kept = state.node_valid.expand(rows * (count + 1), -1).clone().view(rows, count + 1, -1)
    for row, order in enumerate(orders):
        for step, node in enumerate(order):
            kept[row, step + 1 :, int(node)] = False
    keep = kept.flatten(0, 1)

    def repeated(values: Tensor) -> Tensor:
        return values.expand(len(keep), *[-1] * (values.dim() - 1))

    pruned = replace(
        state,
        node_valid=keep,
        geometry=repeated(state.geometry) * keep[:, :, None],
        edges=repeated(state.edges) * keep[:, :, None] * keep[:, None],
    )
    with torch.no_grad():
        votes = graph_votes(readout, pruned, repeated(state.features) * keep[:, :, None])
        probability = torch.softmax(run.outputs.gap_logits + votes, dim=1)[:, target]
    return np.asarray(probability.view(rows, count + 1).cpu().numpy(), dtype=np.float64)


def area_between(ordered: NDArray[np.float64], by_chance: NDArray[np.float64]) -> float:
    """Mean distance of the deletion curve below those of random orders; positive: the order names what counts.

    Args:
        ordered: (n + 1,).
        by_chance: (R, n + 1).
    """
    return float((by_chance.mean(axis=0) - ordered).mean())


def shuffled(student: Student, *, seed: int) -> Student:
    """A copy whose weights are shuffled within each tensor: the same values, nothing learnt.

    Statistics of its features are forgotten as well; let it see its case once in training mode, to learn them anew.
    """
    other = copy.deepcopy(student)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            order = torch.randperm(weight.numel(), generator=random).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    for statistics in (m for m in other.modules() if isinstance(m, RunningStandardisation)):
        for buffer in statistics.buffers():
            buffer.zero_()
    return other


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Spearman's; None for fewer than three values or where one side does not vary."""
    if len(first) < FEWEST_NODES or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)
