"""What all DICOM objects of one answer share: the series they refer to, and who made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pydicom
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.sr.coding import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from reactkd_auto.imageio.dicom import open_series

SCHEME = "99REACTKD"
NAME = "reactkd_auto"
FIRST_SERIES_NUMBER = 9500
"""Above what scanners and workstations use."""
_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""DICOM demands that they stand in every object, if need be without a value (type 2); some archives drop them."""


@dataclass(frozen=True)
class Identity:
    """One answer's place in the patient's study.

    Attributes:
        slices: Headers of the source series, in the order of its grid.
        key: Of the answer: the same answer always has the same UIDs, so that sending it again adds nothing.
        model_hash: Of the model.
    """

    slices: tuple[pydicom.Dataset, ...]
    key: str
    model_hash: str

    @property
    def version(self) -> str:
        """Of this software."""
        return metadata.version(NAME)

    def uid(self, *what: str) -> str:
        """A UID that stands for one part of the answer."""
        return str(generate_uid(entropy_srcs=[str(self.slices[0].SeriesInstanceUID), self.key, *what]))

    def arguments(self, what: str, number: int) -> dict[str, Any]:
        """Arguments that the constructors of all objects take; each object is a series of its own."""
        return {
            "series_instance_uid": self.uid(what, "series"),
            "series_number": FIRST_SERIES_NUMBER + number,
            "sop_instance_uid": self.uid(what, "instance"),
            "instance_number": 1,
            "manufacturer": NAME,
            "series_description": f"{NAME}: {what}, research use only",
            "coding_schemes": [_own_scheme()],
        }

    def equipment(self) -> dict[str, Any]:
        """Further arguments of images."""
        return {
            "manufacturer_model_name": NAME,
            "software_versions": self.version,
            "device_serial_number": self.model_hash,
        }

    def algorithm(self) -> AlgorithmIdentificationSequence:
        """Software and model."""
        return AlgorithmIdentificationSequence(
            NAME, codes.DCM.ArtificialIntelligence, self.version, parameters={"model": self.model_hash}
        )


def identify(files: Sequence[Path], *, key: str, model_hash: str) -> Identity:
    """The identity of an answer about a series.

    Raises:
        ImageFault: As `open_series`.
    """
    _, grid = open_series(files)
    slices = tuple(file.header for file in grid.files)
    for header in slices:
        for keyword in _MAY_BE_EMPTY:
            if keyword not in header:
                setattr(header, keyword, None)
        if header.get("SliceThickness") is None:  # demanded of the objects; of slices that touch it is the spacing
            header.SliceThickness = f"{grid.spacing[2]:.10g}"
    return Identity(slices, key, model_hash)


def own_code(value: str, meaning: str) -> CodedConcept:
    """A concept of this software; DICOM allows 16 characters for its value and 64 for its meaning."""
    return CodedConcept(value[:16], SCHEME, meaning[:64])


def _own_scheme() -> CodingSchemeIdentificationItem:
    """Who defines the concepts of `own_code`."""
    return CodingSchemeIdentificationItem(SCHEME, name=NAME, responsible_organization=NAME)
