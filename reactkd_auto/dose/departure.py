"""How far the added noise of a CT departs from the quantum law."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .counts import count_table
from .evidence import NoiseEvidence
from .parameters import DoseCalibration


def departures(evidence: NoiseEvidence, calibration: DoseCalibration, doses: Sequence[float]) -> tuple[float, ...]:
    """Median over the body of added SD / √((1 − a) / a · 1/N), at each dose fraction.

    1 in the quantum limit; electronic noise raises it, the floor of the logarithm lowers it again where no photon is
    left. Both SD are those of the mean variance of the rays through a point. 1 where there is no body.
    """
    if not len(evidence.probes):
        return (1.0,) * len(doses)
    rays, readings = evidence.probes, calibration.readings
    table = count_table(calibration.electronic_noise, calibration.floor)
    exponent = calibration.tube_modulation * rays.modulation - calibration.bowtie * rays.bowtie - rays.path
    counts = float(np.median(calibration.flux)) / readings * torch.exp(exponent)
    quantum = (1 / counts).mean(1)
    result = []
    for a in doses:
        added = table.added_variance(counts, a).mean(1)
        result.append(float((added / quantum * (a / (1 - a))).sqrt().median()))
    return tuple(result)
