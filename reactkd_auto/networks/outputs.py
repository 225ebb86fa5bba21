"""What goes into and comes out of the networks. B cases, N region nodes, K classes, E embedding width."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class GraphInputs:
    """Regions of a batch on the grids of the network's maps.

    Attributes:
        masks: One float [B, N, z, y, x] a pooled stage: share of each feature voxel that the node covers.
        weights: One float [B, 1, z, y, x] a map stage (pooled stages and the deepest): share of the feature voxel
            where the base image was measured.
        node_valid: bool [B, N], nodes that exist in the case and have volume in the patch.
        geometry: float [B, N, 6], 0 where the node is not valid.
        edges: float [B, N, N] weights, 0 where either node is not valid.
    """

    masks: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    node_valid: Tensor
    geometry: Tensor
    edges: Tensor

    def rows(self, place: Tensor) -> GraphInputs:
        """Some samples of the batch."""
        masks, weights = (tuple(t[place] for t in stage) for stage in (self.masks, self.weights))
        return GraphInputs(masks, weights, self.node_valid[place], self.geometry[place], self.edges[place])

    def flipped(self, axes: tuple[int, ...]) -> GraphInputs:
        """The same regions with the spatial ``axes`` (0 z, 1 y, 2 x) mirrored; node slots keep their meaning."""
        dims = [a + 2 for a in axes]
        masks = tuple(m.flip(dims) for m in self.masks)
        weights = tuple(w.flip(dims) for w in self.weights)
        return GraphInputs(masks, weights, self.node_valid, self.geometry, self.edges)


@dataclass(frozen=True)
class Outputs:
    """One network's (or branch's) answer; every tensor is float32 outside of autocast.

    Attributes:
        logits: [B, K] = ``gap_logits`` + attention-weighted sum of ``node_logits`` (+ what covariates say).
        gap_logits: [B, K] from the average of the deepest map over measured voxels.
        node_logits: [B, N, K], 0 where the node is not valid.
        node_features: [B, N, D], D = 2 E × pooled stages, means and SDs of image features (no geometry); 0 where not
            valid.
        node_attention: [B, N], sums to 1 over lesion nodes (all nodes where the case has no lesion), or all 0.
        node_valid: bool [B, N].
        attention: CBAM's spatial attention [B, 1, z, y, x], one a map stage.
        maps: Attended maps [B, E, z, y, x], one a map stage, in the network's own precision.
    """

    logits: Tensor
    gap_logits: Tensor
    node_logits: Tensor
    node_features: Tensor
    node_attention: Tensor
    node_valid: Tensor
    attention: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]


@dataclass(frozen=True)
class TeacherOutputs:
    """Each teacher's own answer. Without a structure-function teacher ``fused`` is ``dose`` itself."""

    fused: Outputs
    structure: Outputs | None
    dose: Outputs
