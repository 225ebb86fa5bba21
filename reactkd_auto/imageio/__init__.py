"""Medical images: checked reading, atomic writing, geometry, plausibility of units, whole raw cases."""

from .faults import ImageFault, Problem
from .geometry import array_spacing, overlap_fraction, same_grid, to_canonical
from .plausibility import check_binary_mask, check_ct_range, check_ct_units, check_suv, check_units
from .raw_case import RawCase, list_cases, load_case
from .reading import read_image, read_regions
from .streaming import MappedImage, NiftiWriter, Placement, map_image
from .writing import write_image

__all__ = [
    "ImageFault",
    "MappedImage",
    "NiftiWriter",
    "Placement",
    "Problem",
    "RawCase",
    "array_spacing",
    "check_binary_mask",
    "check_ct_range",
    "check_ct_units",
    "check_suv",
    "check_units",
    "list_cases",
    "load_case",
    "map_image",
    "overlap_fraction",
    "read_image",
    "read_regions",
    "same_grid",
    "to_canonical",
    "write_image",
]
