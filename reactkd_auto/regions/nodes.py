"""From a label map to region nodes on the same grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.cases import NODE_LAYERS
from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import GraphPlan, TripleMm

from .edges import edge_weights
from .geometry import FEATURES, depth_map, frame, node_geometry
from .lesions import kept_count, lesion_components, whole_organ
from .parcels import parcel_map
from .rings import ring_map
from .slots import BASE_LAYER, PARCEL_LAYER, RING_LAYER, Slot, node_slots

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class NodeMap:
    """The region nodes of one case; N slots.

    Attributes:
        layers: uint8 (3, z, y, x), slot + 1 or 0; which layer a slot is painted on says `Slot.layer`.
        valid: bool (N,), slots with at least one voxel.
        geometry: float32 (N, 6), see `node_geometry`; 0 for an invalid slot.
        voxels: int64 (N,), volume of each.
        edges: float32 (N, N), see `edge_weights`.
        merged_lesion_share: Share of the kept lesions' volume that has no lesion slot of its own.
    """

    layers: NDArray[np.uint8]
    valid: Mask
    geometry: NDArray[np.float32]
    voxels: NDArray[np.int64]
    edges: NDArray[np.float32]
    merged_lesion_share: float


@dataclass(frozen=True)
class _Anatomy:
    """What the slots are painted from: lesions are numbered by volume and only those large enough are kept."""

    labels: NDArray[np.uint8]
    lesions: NDArray[np.int32]
    lesion_voxels: NDArray[np.int64]
    organ: Mask
    surrounding: Mask | None
    """Organ, else body, else unknown: where rings lie and depth is measured."""


def build_nodes(
    labels: NDArray[np.uint8], *, spacing: TripleMm, dataset: Dataset, graph: GraphPlan, body: Mask | None
) -> NodeMap:
    """Paint a case's regions into the graph's slots and measure them.

    The organ node is the organ without its lesions. Parcels divide the organ together with the lesions that touch it,
    so that disease does not move their borders. Lesions too small to keep belong to no node.

    Args:
        labels: (z, y, x) region values, canonical orientation (towards superior, posterior, left).
        spacing: mm.
        dataset: For the roles of the regions.
        graph: What nodes there are.
        body: (z, y, x), for rings and depth where there is no organ; None if unknown.
    """
    slots = node_slots(graph, dataset)
    anatomy = _anatomy(labels, spacing, dataset, graph, body)
    layers = np.zeros((NODE_LAYERS, *labels.shape), np.uint8)
    if slots:
        _paint_base(layers[BASE_LAYER], slots, anatomy, dataset, graph)
        _paint_parcels(layers[PARCEL_LAYER], slots, anatomy, graph)
        _paint_rings(layers[RING_LAYER], slots, anatomy, spacing, graph)
    return _measured(layers, slots, anatomy, spacing, graph)


def _anatomy(
    labels: NDArray[np.uint8], spacing: TripleMm, dataset: Dataset, graph: GraphPlan, body: Mask | None
) -> _Anatomy:
    lesions, voxels = lesion_components(labels, dataset)
    organ = whole_organ(labels, lesions, dataset)
    kept = kept_count(voxels, voxel_mm3=float(np.prod(spacing)), smallest_mm3=graph.smallest_lesion_mm3)
    return _Anatomy(labels, np.where(lesions <= kept, lesions, 0), voxels[:kept], organ, organ if organ.any() else body)


def _paint_base(
    layer: NDArray[np.uint8], slots: tuple[Slot, ...], anatomy: _Anatomy, dataset: Dataset, graph: GraphPlan
) -> None:
    context = {r.name: r.value for r in dataset.regions if r.role == "context"}
    lesion = 0
    for slot in slots:
        if slot.kind == "organ":
            mask = np.isin(anatomy.labels, dataset.region_values("organ"))
        elif slot.kind == "lesion":
            lesion += 1
            mask = anatomy.lesions == lesion
        elif slot.kind == "other_lesions":
            mask = anatomy.lesions > graph.lesions
        elif slot.kind == "context":
            mask = anatomy.labels == context[slot.name]
        else:
            continue
        layer[mask] = slot.index + 1


def _paint_parcels(layer: NDArray[np.uint8], slots: tuple[Slot, ...], anatomy: _Anatomy, graph: GraphPlan) -> None:
    parcels = [s.index for s in slots if s.kind == "parcel"]
    if parcels and anatomy.organ.any():
        codes = np.array([0, *(i + 1 for i in parcels)], np.uint8)
        layer[:] = codes[parcel_map(anatomy.organ, graph.parcels)]


def _paint_rings(
    layer: NDArray[np.uint8], slots: tuple[Slot, ...], anatomy: _Anatomy, spacing: TripleMm, graph: GraphPlan
) -> None:
    rings = [s.index for s in slots if s.kind == "ring"]
    if not rings:
        return
    found = ring_map(anatomy.lesions, inside=anatomy.surrounding, width_mm=graph.ring_width_mm, spacing=spacing)
    codes = np.zeros(len(anatomy.lesion_voxels) + 1, np.uint8)
    if graph.rings == "merged":
        codes[1:] = rings[0] + 1
    else:
        own = min(len(rings), len(codes) - 1)
        codes[1 : own + 1] = np.array(rings[:own]) + 1
    layer[:] = codes[found]


def _measured(
    layers: NDArray[np.uint8], slots: tuple[Slot, ...], anatomy: _Anatomy, spacing: TripleMm, graph: GraphPlan
) -> NodeMap:
    count = len(slots)
    geometry, voxels = np.zeros((count, FEATURES), np.float32), np.zeros(count, np.int64)
    centroids = np.full((count, 3), np.nan)
    painted = np.asarray(layers.any(axis=0))
    if painted.any():
        # Without an organ the lesions are the frame: anything larger would tell where the crop ends.
        candidates: list[Mask] = [anatomy.organ, np.asarray(anatomy.lesions > 0), painted]
        reference = next(m for m in candidates if m.any())
        depth = depth_map(np.zeros_like(painted) if anatomy.surrounding is None else anatomy.surrounding, spacing)
        box = frame(reference)
        for slot in slots:
            mask = layers[slot.layer] == slot.index + 1
            voxels[slot.index] = mask.sum()
            if voxels[slot.index]:
                geometry[slot.index] = node_geometry(mask, spacing=spacing, depth_mm=depth, box=box)
                centroids[slot.index] = ndimage.center_of_mass(mask)
    total = int(anatomy.lesion_voxels.sum())
    merged = int(anatomy.lesion_voxels[graph.lesions :].sum())
    return NodeMap(
        layers=layers,
        valid=voxels > 0,
        geometry=geometry,
        voxels=voxels,
        edges=edge_weights(layers, centroids, spacing=spacing, sigma_mm=graph.edge_sigma_mm),
        merged_lesion_share=merged / total if total else 0.0,
    )
