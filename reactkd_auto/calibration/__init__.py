"""What out-of-fold answers say about a model's probabilities: temperature, prediction sets, thresholds."""

from .document import Calibration, HeldOut, fit_calibration, read_calibration, write_calibration
from .temperature import scaled

__all__ = ["Calibration", "HeldOut", "fit_calibration", "read_calibration", "scaled", "write_calibration"]
