"""The table of a case's regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from reactkd_auto.calibration import Calibration
from reactkd_auto.cases import PreprocessedCase
from reactkd_auto.inference.display import position_mm
from reactkd_auto.inference.ensemble import Ensemble
from reactkd_auto.inference.explanation import Explanation
from reactkd_auto.inference.results import RegionRow
from reactkd_auto.regions.slots import Slot


def region_rows(
    case: PreprocessedCase,
    slots: Sequence[Slot],
    ensemble: Ensemble,
    explanation: Explanation | None,
    *,
    calibration: Calibration | None,
    classes: Sequence[str],
) -> tuple[RegionRow, ...]:
    """A row for each node that took part, in the order of the slots."""
    voxel_mm3 = float(np.prod(case.properties.spacing_mm))
    attention, probabilities, valid = ensemble.node_attention, ensemble.node_probabilities, ensemble.node_valid
    if calibration is not None:
        probabilities = calibration.probabilities(probabilities)
    share = None if explanation is None else explanation.node_share
    spread = None if explanation is None else explanation.node_spread
    rows = []
    for slot in slots:
        if not valid[slot.index]:
            continue
        graded = slot.kind in ("lesion", "other_lesions")
        own = probabilities[slot.index]
        rows.append(
            RegionRow(
                node=slot.name,
                kind=slot.kind,
                volume_mm3=case.properties.node_voxels[slot.index] * voxel_mm3,
                attention=float(attention[slot.index]),
                importance=None if share is None else float(share[slot.index]),
                importance_std=None if spread is None else float(spread[slot.index]),
                grade=classes[int(own.argmax())] if graded else None,
                probabilities=tuple(own.tolist()) if graded else None,
                centroid_mm=_centroid_mm(case, slot),
            )
        )
    return tuple(rows)


def _centroid_mm(case: PreprocessedCase, slot: Slot) -> tuple[float, float, float] | None:
    mask = case.nodes[slot.layer] == slot.index + 1
    if not mask.any():
        return None
    x, y, z = position_mm(case.properties, ndimage.center_of_mass(mask)).tolist()
    return x, y, z


def most_important(rows: Sequence[RegionRow]) -> RegionRow | None:
    """The lesion (else the region) that carries most of the explanation, or of the attention or volume if none does."""
    lesions = [r for r in rows if r.kind == "lesion"] or list(rows)
    return max(lesions, key=lambda r: (r.importance or 0.0, r.attention or 0.0, r.volume_mm3), default=None)
