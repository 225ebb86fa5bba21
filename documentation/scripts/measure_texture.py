"""AUC of one hand-made feature on a synthetic cohort's external CTs: how much these CTs show of the class.

    python documentation/scripts/measure_texture.py reactkd_workspace/raw/Dataset001_Demo

The feature is the SD, within a lesion, of a fine band of the CT (what a blur by 2 mm leaves and one by 6 mm removes),
the highest of the case's lesions. Prints the AUC of the higher class and the number of cases.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.dataset import Dataset, read_dataset, read_labels
from reactkd_auto.evaluation.auc import auc_with_interval
from reactkd_auto.imageio import array_spacing, load_case
from reactkd_auto.imageio.raw_case import RawCase

FINE_MM, COARSE_MM = 2.0, 6.0
FEWEST_VOXELS = 9


def highest_texture(case: RawCase, dataset: Dataset) -> float:
    """SD of the band in the lesion where it is highest, HU; 0 where no lesion has inner voxels enough."""
    assert case.regions is not None
    ct, spacing = sitk.GetArrayFromImage(case.images[0]), np.array(array_spacing(case.images[0]))
    band = ndimage.gaussian_filter(ct, FINE_MM / spacing) - ndimage.gaussian_filter(ct, COARSE_MM / spacing)
    values = [region.value for region in dataset.regions if region.role == "lesion"]
    components, count = ndimage.label(np.isin(sitk.GetArrayFromImage(case.regions), values))
    insides: list[NDArray[np.bool_]] = [ndimage.binary_erosion(components == i + 1) for i in range(count)]
    return max((float(band[i].std()) for i in insides if i.sum() >= FEWEST_VOXELS), default=0.0)


def main(raw: Path) -> None:
    """Measure every external CT that has a label and a region map."""
    dataset = read_dataset(raw)
    rows = [row for row in read_labels(raw / "labelsTs.csv", dataset.classes) if row.label is not None]
    cases = (load_case(raw, dataset, row.case, images="imagesTs", regions="regionsTs") for row in rows)
    features = [highest_texture(case, dataset) for case in cases]
    auc = auc_with_interval([row.label == len(dataset.classes) - 1 for row in rows], features)
    sys.stdout.write(f"AUC {auc}, {len(rows)} cases\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
