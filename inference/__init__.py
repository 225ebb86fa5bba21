"""CT-only prediction: CTs in, classified and explained; handing models on; evaluation of predictions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reactkd_auto.inference.api import Predictions, predict
    from reactkd_auto.inference.exported.api import export_onnx
    from reactkd_auto.inference.external.api import ExternalEvaluation, evaluate_external
    from reactkd_auto.inference.handover.export import export_model
    from reactkd_auto.inference.handover.install import install_model
    from reactkd_auto.inference.predictor import Prediction, Predictor

__all__ = [
    "ExternalEvaluation",
    "Prediction",
    "Predictions",
    "Predictor",
    "evaluate_external",
    "export_model",
    "export_onnx",
    "install_model",
    "predict",
]

_MODULES = {
    "ExternalEvaluation": "external.api",
    "Prediction": "predictor",
    "Predictions": "api",
    "Predictor": "predictor",
    "evaluate_external": "external.api",
    "export_model": "handover.export",
    "export_onnx": "exported.api",
    "install_model": "handover.install",
    "predict": "api",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: a command's ``-h`` needs none of it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
