"""One case, from raw images to everything that training and prediction need of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.cases import CaseProperties, PreprocessedCase
from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import RawCase
from reactkd_auto.plan import Plan
from reactkd_auto.regions.nodes import NodeMap

from .case_nodes import case_nodes
from .channels import store_channels
from .coarse import coarse_case
from .grid import CaseGrid, Grid, case_grid
from .labels import resample_labels
from .noise import NoiseSource, StoredNoise, no_noise, store_noise

LITTLE_COVERED = 0.5


def preprocess_case(
    raw: RawCase,
    *,
    plan: Plan,
    dataset: Dataset,
    patient: str,
    label: int | None,
    made_of: dict[str, str] | None = None,
    noise: NoiseSource | StoredNoise | None = None,
) -> PreprocessedCase:
    """Bring a case onto one grid round its regions.

    Args:
        raw: Images in canonical orientation; the base (0) is there, others may be missing, regions too.
        plan: Spacing, sizes, normalisation, graph, dose, localiser.
        dataset: Channels and regions.
        patient, label, made_of: Kept in the properties.
        noise: How noise of lower doses arises, or what is there already; None: there is none (prediction).
    """
    placed = case_grid(raw, plan, dataset)
    grid = placed.grid
    image, valid = store_channels(raw, grid, plan, dataset)
    labels = np.zeros(grid.size, np.uint8) if raw.regions is None else resample_labels(raw.regions, grid, dataset)
    nodes = case_nodes(labels, image[0], valid, spacing=grid.spacing_mm, plan=plan, dataset=dataset)
    stored = _noise(raw, grid, plan, noise)
    base = raw.images[0]
    properties = CaseProperties(
        case=raw.case,
        patient=patient,
        label=label,
        present=tuple(i in raw.images for i in range(len(dataset.channels))),
        spacing_mm=grid.spacing_mm,
        zoom=placed.zoom,
        origin_mm=grid.origin_mm,
        direction=grid.direction,
        original_size=base.GetSize(),
        original_spacing_mm=base.GetSpacing(),
        original_origin_mm=base.GetOrigin(),
        original_direction=base.GetDirection(),
        node_valid=tuple(nodes.valid.tolist()),
        node_geometry=tuple(tuple(row) for row in nodes.geometry.tolist()),
        node_voxels=tuple(nodes.voxels.tolist()),
        edges=tuple(tuple(row) for row in nodes.edges.tolist()),
        noise_levels=stored.levels,
        dose_calibration=stored.calibration,
        made_of=made_of or {},
        flags=(*_flags(raw, placed, valid, nodes, plan=plan, dataset=dataset), *stored.flags),
    )
    coarse = coarse_case(raw, plan, dataset) if plan.localiser.enabled else None
    return PreprocessedCase(properties, image, valid, nodes.layers, stored.noise, stored.log_ratio, coarse)


def _noise(raw: RawCase, grid: Grid, plan: Plan, noise: NoiseSource | StoredNoise | None) -> StoredNoise:
    if noise is None or not plan.dose.enabled:
        return no_noise(grid)
    if isinstance(noise, StoredNoise):
        return noise
    return store_noise(raw.images[0], grid, plan.dose, noise, case=raw.case)


def _flags(
    raw: RawCase, placed: CaseGrid, valid: NDArray[np.uint8], nodes: NodeMap, *, plan: Plan, dataset: Dataset
) -> tuple[str, ...]:
    flags = []
    what = "regions are" if placed.on_regions else "image is"
    if placed.zoom > 1:
        flags.append(
            f"The {what} larger than the planned patch: resampled {placed.zoom:.2f} times coarser than planned to fit."
        )
    if any(r.role != "context" for r in dataset.regions) and not placed.on_regions:
        flags.append("No organ or lesion region: the middle of the image was taken.")
    if nodes.merged_lesion_share > 0:
        flags.append(
            f"More than {plan.graph.lesions} lesions: {nodes.merged_lesion_share:.0%} of their volume "
            f"{'is merged into one region' if plan.graph.other_lesions else 'belongs to no region'}."
        )
    measured = (valid & 1) > 0
    for index in sorted(set(raw.images) - {0}):
        share = float((valid[measured] >> index & 1).mean()) if measured.any() else 0.0
        if share < LITTLE_COVERED:
            flags.append(f"{dataset.channels[index].name} covers only {share:.0%} of the part of the image in use.")
    return tuple(flags)
