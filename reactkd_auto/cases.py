"""Preprocessed cases: what planning writes, training reads in part, and prediction makes in memory.

All arrays of a case lie on one grid of the planned spacing (or coarser, if the case was zoomed to fit), of size
``patch_size + 2 × context_voxels``, centred on the case's regions.

On disk a case is ``CASE.b2nd`` (int16, the layers below stacked along the first axis), ``CASE_coarse.b2nd`` (the whole
CT and its region labels at the localiser's spacing) and ``CASE.json``, which is written last: a case without it is not
finished.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .jsonio import atomic_path, content_hash, read_document, write_json

NODE_LAYERS = 3
"""Layers of the node map: 0 organ, lesions, other lesions, context; 1 parcels; 2 rings."""
NOISE_SCALE_HU = 0.1
LOG_RATIO_SCALE = 0.001


@dataclass(frozen=True)
class CaseProperties:
    """Everything about a preprocessed case that is not an array.

    Attributes:
        case, patient, label: As in the label table (label: class index or None).
        present: One flag a channel.
        spacing_mm: Of the case's own grid (planned spacing × zoom), (z, y, x).
        zoom: 1, or the factor by which the case was resampled coarser to fit.
        origin_mm, direction: Of the grid's first voxel, SimpleITK order (x, y, z), LPS.
        original_size, original_spacing_mm, original_origin_mm, original_direction: Of the CT as read, SimpleITK order.
        node_valid: One flag a node slot.
        node_geometry: (nodes, 6): log volume, depth, sphericity, centroid z, y, x in organ coordinates.
        node_voxels: Volume of each node in voxels of this grid.
        edges: (nodes, nodes) edge weights, symmetric, zero diagonal.
        noise_levels: Dose fractions of the stored log-SD fields; empty without dose degradation.
        dose_calibration: How the noise was calibrated, or None.
        made_of: A hash of each thing that the case depends on: files, row of the label table, parts of the plan.
        flags: Sentences that a person should read about this case.
        covariates: One number a covariate of the dataset (`covariates.Values`), in memory only: its file names none,
            they are in the dataset's ``covariates.csv``.
    """

    case: str
    patient: str
    label: int | None
    present: tuple[bool, ...]
    spacing_mm: tuple[float, float, float]
    zoom: float
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]
    original_size: tuple[int, int, int]
    original_spacing_mm: tuple[float, float, float]
    original_origin_mm: tuple[float, float, float]
    original_direction: tuple[float, ...]
    node_valid: tuple[bool, ...]
    node_geometry: tuple[tuple[float, ...], ...]
    node_voxels: tuple[int, ...]
    edges: tuple[tuple[float, ...], ...]
    noise_levels: tuple[float, ...] = ()
    dose_calibration: dict[str, Any] | None = None
    made_of: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    covariates: tuple[float, ...] = ()

    @property
    def content(self) -> str:
        """Identity of all that the case was made of."""
        return content_hash(self.made_of)


@dataclass(frozen=True)
class PreprocessedCase:
    """A case in memory.

    Attributes:
        image: int16 (channels, z, y, x); real value = stored × the channel's storage scale; 0 where missing.
        valid: uint8 (z, y, x), bit c set where channel c was measured.
        nodes: uint8 (3, z, y, x), node slot + 1 or 0 (see `NODE_LAYERS`).
        noise: int16 (2, z, y, x), two realisations of the added noise at the reference dose, 0.1 HU; or empty.
        log_ratio: int16 (levels, z, y, x), ln(SD at level / SD at reference) × 1000; or empty.
        coarse: int16 (2, z, y, x), the whole base image and its region labels at the localiser's spacing; or None.
    """

    properties: CaseProperties
    image: NDArray[np.int16]
    valid: NDArray[np.uint8]
    nodes: NDArray[np.uint8]
    noise: NDArray[np.int16]
    log_ratio: NDArray[np.int16]
    coarse: NDArray[np.int16] | None = field(default=None)


def write_case(folder: Path, case: PreprocessedCase) -> None:
    """Write a case; its JSON comes last, so an interrupted case counts as not done."""
    name = case.properties.case
    stack = np.concatenate(
        [
            case.image,
            case.valid[None].astype(np.int16),
            case.nodes.astype(np.int16),
            case.noise,
            case.log_ratio,
        ]
    ).astype(np.int16)
    write_array(Path(folder) / f"{name}.b2nd", stack)
    if case.coarse is not None:
        write_array(_coarse_path(folder, name), case.coarse)
    write_properties(folder, case.properties)


def write_properties(folder: Path, properties: CaseProperties) -> None:
    """Write a case's JSON."""
    stored = {name: value for name, value in vars(properties).items() if name != "covariates"}
    write_json(Path(folder) / f"{properties.case}.json", stored)


def read_properties(folder: Path, case: str) -> CaseProperties:
    """Read a case's properties."""
    return read_document(CaseProperties, Path(folder) / f"{case}.json")


def read_case(
    folder: Path, properties: CaseProperties, window: tuple[slice, slice, slice] = (slice(None),) * 3
) -> PreprocessedCase:
    """Read a case, or only a window (z, y, x) of it. ``coarse`` is left out; see `read_coarse`."""
    stack = _open_array(Path(folder) / f"{properties.case}.b2nd")[(slice(None), *window)]
    channels, levels = len(properties.present), len(properties.noise_levels)
    ends = np.cumsum([channels, 1, NODE_LAYERS, 2 if levels else 0, levels])
    image, valid, nodes, noise, log_ratio, rest = np.split(stack, ends)
    assert not len(rest)
    return PreprocessedCase(properties, image, valid[0].astype(np.uint8), nodes.astype(np.uint8), noise, log_ratio)


def read_coarse(folder: Path, case: str) -> NDArray[np.int16] | None:
    """The whole base image and its region labels at the localiser's spacing, or None."""
    return _open_array(_coarse_path(folder, case))[:] if has_coarse(folder, case) else None


def has_coarse(folder: Path, case: str) -> bool:
    """Whether a case has the whole image at the localiser's spacing."""
    return _coarse_path(folder, case).exists()


def finished_cases(folder: Path) -> list[str]:
    """Names of the cases that were wholly written, sorted."""
    return sorted(p.stem for p in Path(folder).glob("*.json") if not p.name.startswith("."))


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array (layers, z, y, x), compressed.

    A layer is a chunk: chunks of a patch's size, a little less, would leave rims that cost as much as the middle.
    """
    import blosc2

    chunks = (1, *array.shape[1:])
    cparams = {"codec": blosc2.Codec.ZSTD, "clevel": 1, "filters": [blosc2.Filter.SHUFFLE], "nthreads": 1}
    with atomic_path(path, failures=(RuntimeError,)) as temporary:
        blosc2.asarray(np.ascontiguousarray(array), urlpath=str(temporary), mode="w", chunks=chunks, cparams=cparams)


def array_of(content: bytes) -> NDArray[Any]:
    """The array in the content of a file of `write_array`."""
    import blosc2

    return np.asarray(blosc2.ndarray_from_cframe(content)[:])


def _coarse_path(folder: Path, case: str) -> Path:
    return Path(folder) / f"{case}_coarse.b2nd"


def _open_array(path: Path) -> Any:
    import blosc2

    return blosc2.open(str(path), mode="r", dparams={"nthreads": 1})
