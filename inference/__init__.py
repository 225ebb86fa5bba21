"""CT-only prediction: CTs in, classified and explained; and evaluation of predictions."""

from reactkd_auto.inference.api import Predictions, predict

__all__ = ["Predictions", "predict"]
