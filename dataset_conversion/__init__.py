"""From other people's layouts, or from nothing, to a raw dataset; and the check of a raw dataset."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reactkd_auto.dataset_conversion.autopet import convert_autopet
    from reactkd_auto.dataset_conversion.demo_command import make_demo_dataset
    from reactkd_auto.dataset_conversion.dicom.convert import convert_dicom
    from reactkd_auto.dataset_conversion.hcc_tace_seg import convert_hcc_tace_seg
    from reactkd_auto.dataset_conversion.hecktor import convert_hecktor
    from reactkd_auto.dataset_conversion.lidc import convert_lidc
    from reactkd_auto.dataset_conversion.lits import convert_lits
    from reactkd_auto.dataset_conversion.medmnist3d import convert_medmnist3d
    from reactkd_auto.dataset_conversion.region_making.make import make_regions
    from reactkd_auto.dataset_conversion.sts import convert_sts
    from reactkd_auto.dataset_conversion.sts_tcia import convert_sts_tcia
    from reactkd_auto.dataset_conversion.verify import verify_dataset

__all__ = [
    "convert_autopet",
    "convert_dicom",
    "convert_hcc_tace_seg",
    "convert_hecktor",
    "convert_lidc",
    "convert_lits",
    "convert_medmnist3d",
    "convert_sts",
    "convert_sts_tcia",
    "make_demo_dataset",
    "make_regions",
    "verify_dataset",
]

_MODULES = {
    "convert_autopet": "autopet",
    "convert_dicom": "dicom.convert",
    "convert_hcc_tace_seg": "hcc_tace_seg",
    "convert_hecktor": "hecktor",
    "convert_lidc": "lidc",
    "convert_lits": "lits",
    "convert_medmnist3d": "medmnist3d",
    "convert_sts": "sts",
    "convert_sts_tcia": "sts_tcia",
    "make_demo_dataset": "demo_command",
    "make_regions": "region_making.make",
    "verify_dataset": "verify",
}


def __getattr__(name: str) -> Any:
    """Load a function only when it is used, so that ``-h`` is fast."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
