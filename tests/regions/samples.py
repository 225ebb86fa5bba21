"""Small anatomies for tests of regions."""

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.dataset import Channel, Dataset, Region
from reactkd_auto.plan import GraphPlan

DATASET = Dataset(
    name="Small",
    channels=(Channel("CT", "ct"),),
    classes=("low", "high"),
    regions=(
        Region("liver", 1, "organ"),
        Region("metastasis", 2, "lesion"),
        Region("primary", 3, "lesion"),
        Region("spleen", 4, "context"),
    ),
)
ORGAN, METASTASIS, PRIMARY, SPLEEN = 1, 2, 3, 4
SPACING = (3.0, 2.0, 2.0)


def graph_plan(**changes: object) -> GraphPlan:
    values: dict = {
        "enabled": True,
        "organ": True,
        "parcels": (2, 1, 2),
        "lesions": 2,
        "rings": "per_lesion",
        "ring_width_mm": 5.0,
        "other_lesions": True,
        "context": (SPLEEN,),
        "smallest_lesion_mm3": 65.0,
        "edge_sigma_mm": 20.0,
    }
    return GraphPlan(**(values | changes))


def ellipsoid(shape: tuple[int, int, int], centre: tuple, radii: tuple) -> NDArray[np.bool_]:
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) <= 1


def anatomy(shift: tuple[int, int, int] = (0, 0, 0)) -> NDArray[np.uint8]:
    """Liver of irregular shape with three lesions of falling size and a spleen."""
    shape = (36, 48, 52)
    labels = np.zeros(shape, np.uint8)

    def at(*centre: float) -> tuple:
        return tuple(c + s for c, s in zip(centre, shift, strict=True))

    labels[ellipsoid(shape, at(15, 22, 20), (11, 16, 15))] = ORGAN
    labels[ellipsoid(shape, at(12, 20, 30), (7, 9, 8))] = ORGAN
    labels[ellipsoid(shape, at(15, 20, 16), (4, 5, 5))] = METASTASIS
    labels[ellipsoid(shape, at(18, 28, 26), (3, 3, 3))] = PRIMARY
    labels[ellipsoid(shape, at(10, 14, 24), (2, 2, 2))] = METASTASIS
    labels[ellipsoid(shape, at(16, 30, 44), (4, 4, 3))] = SPLEEN
    return labels
