"""From other people's layouts, or from nothing, to a raw dataset; and the check of a raw dataset."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reactkd_auto.dataset_conversion.demo_command import make_demo_dataset
    from reactkd_auto.dataset_conversion.dicom.convert import convert_dicom
    from reactkd_auto.dataset_conversion.lidc import convert_lidc
    from reactkd_auto.dataset_conversion.medmnist3d import convert_medmnist3d
    from reactkd_auto.dataset_conversion.sts import convert_sts
    from reactkd_auto.dataset_conversion.verify import verify_dataset

__all__ = ["convert_dicom", "convert_lidc", "convert_medmnist3d", "convert_sts", "make_demo_dataset", "verify_dataset"]

_MODULES = {
    "convert_dicom": "dicom.convert",
    "convert_lidc": "lidc",
    "convert_medmnist3d": "medmnist3d",
    "convert_sts": "sts",
    "make_demo_dataset": "demo_command",
    "verify_dataset": "verify",
}


def __getattr__(name: str) -> Any:
    """Load a function only when it is used, so that ``-h`` is fast."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
