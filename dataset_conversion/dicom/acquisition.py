"""What a CT's headers say about its acquisition, in the keys of dcm2niix and BIDS; nothing about the patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pydicom.multival import MultiValue

from reactkd_auto.imageio import ImageFault
from reactkd_auto.imageio.dicom_header import DicomFile, read_header

TEXTS = {
    "Manufacturer": "Manufacturer",
    "ManufacturersModelName": "ManufacturerModelName",
    "ConvolutionKernel": "ConvolutionKernel",
    "ReconstructionAlgorithm": "ReconstructionAlgorithm",
}
"""DICOM's keyword by the sidecar's key."""
NUMBERS = {
    "KVP": ("KVP", 1.0),
    "XRayExposure": ("Exposure", 1.0),
    "XRayTubeCurrent": ("XRayTubeCurrent", 1.0),
    "ExposureTime": ("ExposureTime", 1e-3),
}
"""DICOM's keyword and the factor from its unit (kV, mAs, mA, ms) to the sidecar's (kV, mAs, mA, s)."""
_PERSON = ("PatientID", "PatientName", "OtherPatientIDs", "PatientBirthDate")
_PLAIN = re.compile(r"[A-Za-z0-9 _.,+/()-]{1,64}")
_SHORTEST_NAME = 3


def read_acquisition(files: Sequence[Path]) -> dict[str, Any]:
    """Scanner, kernel, tube voltage and exposure of a CT series.

    Numbers are the median of the slices (tube current follows the body); a text on which slices differ is left out, so
    is one with other than plain characters, or with a word of the patient's name or identifier. Institution, station,
    protocol and descriptions are never read: they are free text.
    """
    keywords = [*TEXTS.values(), *(keyword for keyword, _ in NUMBERS.values()), *_PERSON]
    headers = [read_header(path, keywords) for path in files]
    document: dict[str, Any] = {}
    for key, keyword in TEXTS.items():
        found = {_text(header, keyword) for header in headers}
        if len(found) == 1 and (text := found.pop()):
            document[key] = list(text) if len(text) > 1 else text[0]
    for key, (keyword, factor) in NUMBERS.items():
        if numbers := _numbers(headers, keyword):
            document[key] = round(median(numbers) * factor, 6)
    return document


def _text(header: DicomFile, keyword: str) -> tuple[str, ...]:
    """The parts of a text; none where it is missing or might tell who somebody is."""
    texts = tuple(str(part).strip() for part in _values(header, keyword))
    names = _names(header)
    plain = all(_PLAIN.fullmatch(t) and not any(name in t.casefold() for name in names) for t in texts)
    return texts if plain else ()


def _names(header: DicomFile) -> set[str]:
    """Words by which a patient might be known."""
    texts = [str(value) for keyword in _PERSON for value in _values(header, keyword)]
    words = {word.casefold() for text in texts for word in re.split(r"[\W_]+", text)}
    return {word for word in words if len(word) >= _SHORTEST_NAME}


def _values(header: DicomFile, keyword: str) -> list[Any]:
    """The parts of a value; none where it is missing or damaged, which is no reason to refuse a CT."""
    try:
        value = header.value(keyword)
    except ImageFault:
        return []
    if value is None:
        return []
    return list(value) if isinstance(value, MultiValue) else [value]


def _numbers(headers: Sequence[DicomFile], keyword: str) -> list[float]:
    """The value of each header that has one."""
    found = []
    for header in headers:
        try:
            found.append(header.numbers(keyword, 1)[0])
        except ImageFault:
            continue
    return found
