"""An explanation image as a DICOM parametric map."""

from __future__ import annotations

import numpy as np
from highdicom.content import VOILUTTransformation
from highdicom.enum import VOILUTFunctionValues
from highdicom.pm import ParametricMap, RealWorldValueMapping
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from reactkd_auto.inference.dicom_out.identity import Identity, own_code

MEANING = "Share of the evidence for the predicted class"


def explanation_map(values: NDArray[np.float32], identity: Identity) -> ParametricMap:
    """The map, of the slices that bear anything.

    Args:
        values: (slice, row, column), on the grid of the source series; not all 0.
        identity: Of the answer.
    """
    shown = np.flatnonzero(values.any(axis=(1, 2)))
    highest = float(values.max())
    mapping = RealWorldValueMapping(
        "EXPLANATION",
        MEANING,
        codes.UCUM.NoUnits,
        (float(values.min()), highest),
        slope=1,
        intercept=0,
        quantity_definition=own_code("EXPLANATION", MEANING),
    )
    window = VOILUTTransformation(highest / 2, highest, voi_lut_function=VOILUTFunctionValues.LINEAR_EXACT)
    made = ParametricMap(
        [identity.slices[i] for i in shown],
        values[shown],
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[window],
        content_label="EXPLANATION",
        **identity.arguments("explanation", 2),
        **identity.equipment(),
    )
    made.Laterality = None  # demanded where no body part is named, if need be without a value
    return made
