"""CT physics: what a scan would have shown at a fraction of its dose.

`calibrate` estimates flux, kernel and filters from the full-dose image itself; `degrade` adds the noise that a lower
dose would have added; `noise_fields` and `draw_dose_noise` do the same on patches, at any dose, while training.
"""

from .calibration import calibrate
from .degrade import degrade
from .fields import NoiseFields, draw_dose_noise, noise_fields, open_noise_fields
from .parameters import DoseCalibration

__all__ = [
    "DoseCalibration",
    "NoiseFields",
    "calibrate",
    "degrade",
    "draw_dose_noise",
    "noise_fields",
    "open_noise_fields",
]
