"""Answers as DICOM objects that refer to the series they were made of."""

from reactkd_auto.inference.dicom_out.writing import require_highdicom, write_dicom

__all__ = ["require_highdicom", "write_dicom"]
