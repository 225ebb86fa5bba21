"""A case's explanation as images in the CT's own geometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.cases import PreprocessedCase
from reactkd_auto.imageio import write_image
from reactkd_auto.inference.ensemble import Ensemble
from reactkd_auto.inference.painting import attention_map, into_case, mean_and_spread, paint_nodes, to_patch
from reactkd_auto.inference.reading import Geometry, on_own_grid
from reactkd_auto.preprocessing.back_to_ct import paint_on_ct

ENDING = ".nii.gz"
Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Explanation:
    """What speaks for the answer.

    Attributes:
        node_share: (N,) mean over the ensemble of each node's signed share; None for a model without regions.
        node_spread: (N,) its standard deviation.
        image: float32 (z, y, x) on the case's grid: what speaks for the answer (positive mean shares) painted on the
            nodes' masks, or, for a model without regions, the class activation map scaled to a maximum of 1.
        spread: float32 (z, y, x), standard deviation over the ensemble of what is painted, signs kept.
        attention: float32 (z, y, x), CBAM's spatial attention, 0…1, mean over stages and folds.
    """

    node_share: NDArray[np.float64] | None
    node_spread: NDArray[np.float64] | None
    image: NDArray[np.float32]
    spread: NDArray[np.float32]
    attention: NDArray[np.float32]


def explain(ensemble: Ensemble, case: PreprocessedCase, window: Window) -> Explanation:
    """Explain an ensemble's answer.

    Args:
        ensemble: All passes.
        case: The preprocessed case.
        window: Where in its grid the patch lies that the network saw.
    """
    patch = tuple(s.stop - s.start for s in window)
    size = case.nodes.shape[1:]
    node_share = node_spread = None
    if ensemble.node_valid.any():
        shares = ensemble.node_shares()
        node_share, node_spread = shares.mean(axis=0), shares.std(axis=0)
        image = paint_nodes(case.nodes, node_share.clip(min=0))
        _, spread = mean_and_spread([paint_nodes(case.nodes, row) for row in shares])
    else:
        maps = [into_case(_scaled(to_patch(m, patch)), window, size) for m in ensemble.activation_maps()]
        image, spread = mean_and_spread(maps)
    unmirrored = [m.run.outputs.attention for m in ensemble.members if not m.axes]
    attention, _ = mean_and_spread([into_case(attention_map(a, patch), window, size) for a in unmirrored])
    return Explanation(node_share, node_spread, image, spread, attention)


def images_on_ct(
    case: PreprocessedCase, explanation: Explanation, regions: sitk.Image | None, own: Geometry
) -> dict[str, sitk.Image]:
    """The images of one case by name, each in the geometry in which the CT came."""
    properties = replace(
        case.properties,
        original_size=own.size,
        original_spacing_mm=own.spacing_mm,
        original_origin_mm=own.origin_mm,
        original_direction=own.direction,
    )
    images = {
        "explanation": paint_on_ct(explanation.image, properties),
        "uncertainty": paint_on_ct(explanation.spread, properties),
        "attention": paint_on_ct(explanation.attention, properties),
    }
    return images if regions is None else {**images, "regions": on_own_grid(regions, own)}


def write_images(output: Path, case: str, images: Mapping[str, sitk.Image]) -> None:
    """Write the images of one case into ``output/explanation``."""
    for name, image in images.items():
        write_image(Path(output) / "explanation" / f"{case}_{name}{ENDING}", image)


def _scaled(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest value 1; all 0 stays 0."""
    return image / max(float(image.max()), 1e-12)
