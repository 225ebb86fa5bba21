"""Region readout: maps and regions → a grade per region, and for the whole case."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .outputs import GraphInputs, Outputs
from .pooling import MOMENTS, masked_average, pool_nodes
from .recompute import Thrifty
from .standardise import RunningStandardisation

GEOMETRY_FEATURES = 6
GEOMETRY_WIDTH = 16
DECAY = 0.9
"""Of running statistics, a batch."""
LARGEST_DEVIATION = 5.0
"""Standard deviations from the cohort's mean beyond which a feature says no more: far outside, linear layers lie."""


class RegionReadout(Thrifty):
    """Node logits, attention over lesion nodes, and GAP logits (METHOD.md section 2; our own construction).

    A node is judged by its features h_k, the edge-weighted mean of its neighbours' h, and its geometry. Geometry
    stays outside of `Outputs.node_features`: teacher and student have the same, so there is nothing to distil.
    Every node goes through the same weights, so the order of nodes does not matter.

    Args:
        width: E, channels of the maps.
        classes: K.
        pooled: For each map stage, whether nodes are pooled from it. The last map also feeds GAP.
        lesion_slots: For each node slot, whether it is a lesion (or the merged small lesions).
        decay: Of the running statistics, each time that samples are seen in training.
    """

    lesion_slots: Tensor

    def __init__(
        self, *, width: int, classes: int, pooled: Sequence[bool], lesion_slots: Sequence[bool], decay: float = DECAY
    ) -> None:
        super().__init__()
        self.pooled = tuple(pooled)
        features = MOMENTS * width * sum(self.pooled)
        self.register_buffer("lesion_slots", torch.tensor(lesion_slots, dtype=torch.bool), persistent=False)
        self.average = RunningStandardisation(width, decay=decay)
        self.own = RunningStandardisation(features, decay=decay)
        self.neighbours = RunningStandardisation(features, decay=decay)
        self.place = RunningStandardisation(GEOMETRY_FEATURES, decay=decay)
        self.gap = nn.Linear(width, classes)
        self.geometry = nn.Linear(GEOMETRY_FEATURES, GEOMETRY_WIDTH)
        self.hidden = nn.Sequential(nn.Linear(2 * features + GEOMETRY_WIDTH, width), nn.GELU())
        self.node_logits = nn.Linear(width, classes)
        self.node_scores = nn.Linear(width, 1)
        for layer in (self.gap, self.node_logits):  # begin at chance, not at a confident guess that must be unlearnt
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor], attention: tuple[Tensor, ...], graph: GraphInputs) -> Outputs:
        """Read the case out.

        Args:
            maps: Attended maps [B, E, z, y, x], one a map stage, finest first.
            attention: Their spatial attention, handed on.
            graph: Regions on the maps' grids.
        """
        features = pool_nodes(
            [m for m, use in zip(maps, self.pooled, strict=True) if use], graph, recompute=self.recompute
        )
        average = masked_average(maps[-1], graph.weights[-1])[:, 0]
        everyone = torch.ones_like(average[:, 0], dtype=torch.bool)
        gap_logits = self.gap(self._standardised(self.average, average, everyone)).float()
        node_logits, weights = self.judge_nodes(features, graph)
        # No sum over no nodes: other runtimes take no empty tensors, and what is not used is not exported.
        votes = (weights[:, :, None] * node_logits).sum(dim=1) if node_logits.shape[1] else 0
        return Outputs(
            logits=gap_logits + votes,
            gap_logits=gap_logits,
            node_logits=node_logits,
            node_features=features,
            node_attention=weights,
            node_valid=graph.node_valid,
            attention=attention,
            maps=tuple(maps),
        )

    def judge_nodes(self, features: Tensor, graph: GraphInputs) -> tuple[Tensor, Tensor]:
        """Logits [B, N, K] of each node, and its share of the graph's vote [B, N], from node features [B, N, D]."""
        hidden = self._node_states(features, graph)
        node_logits = self.node_logits(hidden).float() * graph.node_valid[:, :, None]
        return node_logits, self._attend(self.node_scores(hidden).float().squeeze(2), graph.node_valid)

    def _node_states(self, features: Tensor, graph: GraphInputs) -> Tensor:
        """[B, N, E] from own features, neighbours' and geometry."""
        edges = graph.edges.to(features.dtype)
        degree = edges.sum(dim=2, keepdim=True)
        neighbours = torch.bmm(edges, features) / degree.clamp_min(1e-6)
        # Volume and depth have long tails: the logarithm makes them comparable.
        geometry = graph.geometry.sign() * torch.log1p(graph.geometry.abs())
        valid, linked = graph.node_valid, degree[:, :, 0] > 0
        parts = [
            self._standardised(self.own, features, valid),
            self._standardised(self.neighbours, neighbours, linked),
            self.geometry(self._standardised(self.place, geometry, valid)),
        ]
        return self.hidden(torch.cat(parts, dim=2))

    def _standardised(self, statistics: RunningStandardisation, x: Tensor, mask: Tensor) -> Tensor:
        """(x − μ) / σ over what is valid in the cohort, 0 where it isn't; statistics are learnt in training only."""
        if self.training:
            statistics.observe(x, mask)
        standardised: Tensor = statistics(x).clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION)
        return standardised * mask[..., None]

    def _attend(self, scores: Tensor, node_valid: Tensor) -> Tensor:
        """Softmax of scores [B, N] over the case's lesion nodes, over all its nodes if it has none, 0 if no node."""
        lesions = node_valid & self.lesion_slots
        allowed = lesions | (node_valid & ~lesions.any(dim=1, keepdim=True))
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=1) * allowed
