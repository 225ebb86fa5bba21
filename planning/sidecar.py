"""What a JSON file beside a CT says about its acquisition, in the keys that dcm2niix and BIDS use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import ScanInfo
from reactkd_auto.jsonio import read_json

_EXPOSURE = ("XRayExposure", "Exposure", "ExposureInmAs")
_CURRENT = ("XRayTubeCurrent", "TubeCurrent")
_ITERATIVE_KERNEL = re.compile(r"^(I\d|[A-Z][a-z]\d+[a-z]?[\\_]\d)")
"""Siemens: I30f (SAFIRE), Br40d\\3 (ADMIRE of strength 3)."""
_ITERATIVE_NAME = re.compile(r"iterative|asir|aidr|idose|safire|admire|\bimr\b|\bveo\b|deep|truefidelity|aice", re.I)


def read_sidecar(path: Path) -> ScanInfo | None:
    """The acquisition, or None without a file; keys that are missing or hold something else are passed over.

    Exposure in mAs, else tube current in mA × exposure time (s; in ms, as DICOM has it, where over 20).

    Raises:
        UserError: Not a JSON object.
    """
    if not path.is_file():
        return None
    document = read_json(path)
    if not isinstance(document, dict):
        raise UserError(f"{path}: found {type(document).__name__}, expected a JSON object about the acquisition.")
    kernel = _text(document, "ConvolutionKernel")
    methods = " ".join(_text(document, key) for key in ("ReconstructionAlgorithm", "ReconstructionMethod"))
    return ScanInfo(
        scanner=" ".join(filter(None, (_text(document, k) for k in ("Manufacturer", "ManufacturersModelName")))),
        kernel=kernel,
        kilovolts=_number(document, "KVP"),
        exposure_mas=_exposure(document),
        site=_text(document, "InstitutionName"),
        iterative=bool(_ITERATIVE_KERNEL.match(kernel) or _ITERATIVE_NAME.search(f"{methods} {kernel}")),
    )


def _exposure(document: Mapping[str, Any]) -> float | None:
    for key in _EXPOSURE:
        if value := _number(document, key):
            return value
    current = next((v for k in _CURRENT if (v := _number(document, k))), None)
    time = _number(document, "ExposureTime")
    if current is None or time is None:
        return None
    return current * (time / 1000 if time > 20 else time)


def _number(document: Mapping[str, Any], key: str) -> float | None:
    value = document.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else None


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    parts = value if isinstance(value, list) else [value]
    return "\\".join(str(part).strip() for part in parts if isinstance(part, (str, int)) and str(part).strip())
