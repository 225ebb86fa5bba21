"""Topology-aware Grad-CAM: how much each region node speaks for a class (METHOD.md section 5; our reconstruction).

METHOD's sketch is Σ_k a_k · ∂z_c/∂h_k painted on region k's mask. The graph's part of the class score is
z = Σ_k a_k · u_k(h), u_k the node logits and a_k the attention, so ∂z_c/∂h_k carries a_k and the edges already, by the
chain rule. What is left open is how a gradient vector becomes one number. The usual product ⟨∂z_c/∂h_k, h_k⟩ counts
from features of 0, which no tissue has. We therefore integrate the gradient along the way from average tissue r (mean
and standard deviation of the same image's feature map) to the node's features h_k:

    I_k = ⟨h_k − r, ∫₀¹ ∂z_c/∂h_k (r + α (h − r)) dα⟩

which are integrated gradients (Sundararajan et al., ICML 2017, eq. 1) with an anatomical baseline. They add up (their
completeness axiom): Σ_k I_k = z_c(h) − z_c(all nodes average tissue). z_c is the logit less the mean of all logits,
because softmax does not see a common offset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reactkd_auto.networks import GraphInputs, Outputs, Student
from reactkd_auto.networks.pooling import masked_average, masked_moments
from reactkd_auto.networks.readout import RegionReadout

STEPS = 32
"""Points of the integral (midpoint rule)."""


@dataclass(frozen=True)
class ReadoutState:
    """What one forward pass gave the student's readout, small enough to keep for every pass of an ensemble.

    Attributes:
        features: h, float [B, N, D].
        reference: r, float [B, D], mean and SD of each pooled map over measured voxels.
        node_valid: bool [B, N].
        geometry: float [B, N, 6].
        edges: float [B, N, N].
        deepest: The map that feeds GAP, [B, E, z, y, x].
        average: GAP's input, [B, E], its mean over measured voxels.
    """

    features: Tensor
    reference: Tensor
    node_valid: Tensor
    geometry: Tensor
    edges: Tensor
    deepest: Tensor
    average: Tensor


@dataclass(frozen=True)
class Pass:
    """One forward pass of a student: what its readout was given, and what came out (detached)."""

    state: ReadoutState
    outputs: Outputs


@contextmanager
def recorded(student: Student) -> Iterator[list[Pass]]:
    """Collect every forward pass that the student makes inside the block."""
    passes: list[Pass] = []
    readout = student.readout

    def keep(_: nn.Module, given: tuple[Sequence[Tensor], tuple[Tensor, ...], GraphInputs], outputs: Outputs) -> None:
        maps, graph = given[0], given[2]
        used = [(m, w) for m, w, use in zip(maps, graph.weights, readout.pooled, strict=True) if use]
        state = ReadoutState(
            features=outputs.node_features.detach(),
            reference=torch.cat([masked_moments(m.detach(), w)[:, 0] for m, w in used], dim=1),
            node_valid=graph.node_valid,
            geometry=graph.geometry,
            edges=graph.edges,
            deepest=maps[-1].detach(),
            average=masked_average(maps[-1].detach(), graph.weights[-1])[:, 0],
        )
        passes.append(Pass(state, outputs))

    handle = readout.register_forward_hook(keep)
    try:
        yield passes
    finally:
        handle.remove()


def node_importance(readout: RegionReadout, state: ReadoutState, target: int, *, steps: int = STEPS) -> Tensor:
    """I_k of every node, see the module's text.

    Args:
        readout: The student's.
        state: Of its forward pass.
        target: Class c.
        steps: Points of the integral.

    Returns:
        float [B, N], signed, 0 for nodes that are not valid.
    """
    reference = state.reference[:, None].expand_as(state.features)
    way = (state.features - reference) * state.node_valid[:, :, None]
    total = torch.zeros_like(way)
    for step in range(steps):
        point = (reference + (step + 0.5) / steps * way).detach().requires_grad_()
        with torch.enable_grad():
            score = graph_score(readout, state, point, target)
            (gradient,) = torch.autograd.grad(score.sum(), point)
        total += gradient / steps
    return (total * way).sum(dim=2).detach()


def graph_score(readout: RegionReadout, state: ReadoutState, features: Tensor, target: int) -> Tensor:
    """z_c [B] of the graph's vote for node features [B, N, D] in place of the case's own."""
    votes = graph_votes(readout, state, features)
    return votes[:, target] - votes.mean(dim=1)


def graph_votes(readout: RegionReadout, state: ReadoutState, features: Tensor) -> Tensor:
    """The graph's part of the logits [B, K] for node features [B, N, D] in place of the case's own."""
    graph = GraphInputs((), (), state.node_valid, state.geometry, state.edges)
    node_logits, weights = readout.judge_nodes(features, graph)
    return (weights[:, :, None] * node_logits).sum(dim=1)


def class_activation(readout: RegionReadout, state: ReadoutState, target: int) -> Tensor:
    """Class activation map of the image's part of the score (Zhou et al., CVPR 2016, eq. 2): [B, z, y, x], signed.

    The explanation of a model without regions. The weights are class c's less the mean of all classes, features count
    from the cohort's mean in its standard deviations; so the map's mean over measured voxels is the image's part of
    the score, but for the biases and for features so far out that the readout holds them.
    """
    weight = readout.gap.weight.detach()
    mean, sd = readout.average.moments()
    direction = (weight[target] - weight.mean(dim=0)) / sd
    return torch.einsum("e,bezyx->bzyx", direction, state.deepest.float() - mean[:, None, None, None])


def signed_shares(importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """I_k / Σ_j |I_j|, so that passes of different logit scales can be averaged; all 0 where nothing counts.

    Positive speaks for the class, negative against it; absolute values sum to 1.
    """
    total = np.abs(importance).sum()
    return importance / total if total > 0 else importance
