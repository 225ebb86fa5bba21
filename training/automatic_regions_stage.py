"""After a localiser is trained: the maps that it draws of its training cases, for the student to learn from."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import nn

from reactkd_auto.cases import CaseProperties, has_coarse, read_case, read_coarse
from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import read_fingerprint
from reactkd_auto.jsonio import content_hash, file_hash
from reactkd_auto.localisation import region_probabilities
from reactkd_auto.networks import build_localiser, load_weights
from reactkd_auto.plan import Plan
from reactkd_auto.preprocessing import coarse_grid
from reactkd_auto.preprocessing.back_to_ct import ct_grid, grid_of
from reactkd_auto.preprocessing.case_nodes import case_nodes
from reactkd_auto.preprocessing.labels import resample_labels
from reactkd_auto.progress import track
from reactkd_auto.regions import NodeMap
from reactkd_auto.regions.plausible import LesionLimits, lesion_limits, plausible_labels
from reactkd_auto.training.automatic_regions import (
    FOLDER,
    AutomaticRegions,
    read_automatic,
    read_nodes,
    write_automatic,
)
from reactkd_auto.training.localiser_stage import WEIGHTS
from reactkd_auto.training.run import Run
from reactkd_auto.training.stop import StopRequest

logger = logging.getLogger(__name__)

VERSION = 1
"""Raised when the maps change their meaning, so that stored ones are made again."""


def draw_automatic_regions(run: Run, fold: int, stop: StopRequest) -> None:
    """Draw the maps of a fold's training cases that are missing, or that another localiser drew.

    To be called by who holds the lock of the localiser's folder.

    Raises:
        UserError: The fingerprint, the weights or a case cannot be read.
        Interrupted: A signal came; what is drawn stays.
    """
    if not _wanted(run, fold):
        return
    folder, weights = run.localiser_folder(fold) / FOLDER, run.localiser_folder(fold) / WEIGHTS
    source = [VERSION, file_hash(weights), run.plan.hash]
    cases = [c for c in run.training_cases(fold) if has_coarse(run.case_folder, c.case)]
    keys = {c.case: content_hash([*source, c.content]) for c in cases}
    known = {c.case: read_nodes(folder, c.case) for c in cases}
    missing = [c for c in cases if (nodes := known[c.case]) is None or nodes.key != keys[c.case]]
    if missing:
        localiser = build_localiser(run.plan, run.dataset)
        load_weights(weights, localiser)
        localiser.to(run.device).eval()
        limits = lesion_limits(run.plan, read_fingerprint(run.preprocessed))
        for case in track(missing, what=f"fold {fold}, automatic region maps", quiet=run.quiet):
            drawn = automatic_nodes(
                localiser,
                case,
                folder=run.case_folder,
                plan=run.plan,
                dataset=run.dataset,
                limits=limits,
                device=run.device,
            )
            known[case.case] = write_automatic(folder, case.case, drawn, keys[case.case])
            stop.check(f"after the automatic region map of {case.case} (fold {fold})")
    nothing = sum(not any(nodes.node_valid) for nodes in known.values() if nodes is not None)
    logger.info(
        "fold %d: its localiser drew region maps of %d training cases for the student; nothing plausible in %d.",
        fold,
        len(cases),
        nothing,
    )


def automatic_regions(run: Run, fold: int) -> dict[str, AutomaticRegions]:
    """The maps, with a node each, that the fold's localiser drew of training cases; none without a localiser."""
    if not _wanted(run, fold):
        return {}
    return read_automatic(run.localiser_folder(fold) / FOLDER, [c.case for c in run.training_cases(fold)])


def automatic_nodes(
    localiser: nn.Module,
    case: CaseProperties,
    *,
    folder: Path,
    plan: Plan,
    dataset: Dataset,
    limits: LesionLimits,
    device: torch.device,
) -> NodeMap:
    """What a localiser sees in the whole image of a case, as nodes on the case's own grid.

    Where it sees nothing by which prediction would classify the case, no node is valid.

    Args:
        localiser: On the device.
        case: With a coarse image in the folder.
        folder: Of preprocessed cases.
        plan, dataset: For grids, regions and graph.
        limits: Of lesions.
        device: Where the localiser works.
    """
    coarse, stored = read_coarse(folder, case.case), read_case(folder, case)
    assert coarse is not None
    probabilities = region_probabilities((localiser,), coarse[0], plan=plan, dataset=dataset, device=device)
    source, grid = coarse_grid(ct_grid(case), plan), grid_of(case, stored.valid.shape)
    plausible = plausible_labels(probabilities, dataset, voxel_mm3=source.voxel_mm3, limits=limits)
    decisive = dataset.decisive_values
    if decisive and not np.isin(plausible, decisive).any():
        plausible[:] = 0
    labels = resample_labels(source.image(plausible), grid, dataset)
    measured = (stored.valid & 1).astype(bool)  # the coarse grid ends a little beyond the image
    return case_nodes(
        np.where(measured, labels, np.uint8(0)),
        stored.image[0],
        stored.valid,
        spacing=grid.spacing_mm,
        plan=plan,
        dataset=dataset,
    )


def _wanted(run: Run, fold: int) -> bool:
    """Whether the fold has a localiser, and its regions are nodes of a graph."""
    localiser = run.localiser_folder(fold) / WEIGHTS
    return run.plan.localiser.enabled and run.plan.graph.enabled and localiser.exists()
