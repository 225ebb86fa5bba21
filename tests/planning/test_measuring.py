import math

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import Channel, Dataset, LabelledCase, Region
from reactkd_auto.fingerprint import QUANTILE_LEVELS
from reactkd_auto.imageio import RawCase
from reactkd_auto.planning.fingerprint import fingerprint_case, input_hash, measure_case
from tests.planning.raw_cohort import DATASET, make_raw

SPACING = (2.0, 1.0, 1.0)
SIZE = (40, 80, 80)
LESION = (Region("lesion", 2, "lesion"),)
ROW = LabelledCase("a", "p", 1)


def image(array, spacing=SPACING):
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(spacing[::-1])
    return made


def two_balls():
    """Radii 12 and 6 mm, centres 40 mm apart along x."""
    z, y, x = np.indices(SIZE) * np.array(SPACING)[:, None, None, None]
    labels = np.zeros(SIZE, np.uint8)
    labels[(z - 40) ** 2 + (y - 40) ** 2 + (x - 20) ** 2 <= 12**2] = 2
    labels[(z - 40) ** 2 + (y - 40) ** 2 + (x - 60) ** 2 <= 6**2] = 2
    return labels


def measured(labels, *, ct=None, regions=LESION, pet=None):
    dataset = Dataset("T", (Channel("CT", "ct"), Channel("FDG", "pet_suv")), ("a", "b"), regions)
    ct = np.full(SIZE, 40, np.float32) if ct is None else ct
    images = {0: image(ct)} | ({1: pet} if pet is not None else {})
    return measure_case(
        RawCase("a", images, image(labels) if labels is not None else None), dataset, ROW, input_hash="h"
    )


def test_lesions_are_components_with_their_volumes_extent_and_distance():
    case = measured(two_balls())
    assert case.lesion_volumes_mm3 == pytest.approx([4 / 3 * math.pi * 12**3, 4 / 3 * math.pi * 6**3], rel=0.05)
    assert case.region_extent_mm == pytest.approx((26, 25, 24 / 2 + 40 + 6 + 1), abs=1.1)
    assert case.neighbour_distances_mm == pytest.approx((40, 40), abs=0.1)


def test_rings_are_shells_inside_the_body():
    case = measured(two_balls())
    shell = 4 / 3 * math.pi * (17**3 - 12**3)
    assert case.ring_volumes_mm3[0][0] == pytest.approx(shell, rel=0.1)
    assert case.ring_volumes_mm3[0][0] < case.ring_volumes_mm3[1][0] < case.ring_volumes_mm3[2][0]
    half_air = np.full(SIZE, 40, np.float32)
    half_air[:20] = -1000
    assert measured(two_balls(), ct=half_air).ring_volumes_mm3[0][0] == pytest.approx(shell / 2, rel=0.15)


def test_rings_stay_inside_the_organ_and_organ_volume_counts_the_lesions_in_it():
    labels = two_balls()
    labels[:, :, :40][labels[:, :, :40] == 0] = 1
    case = measured(labels, regions=(Region("liver", 1, "organ"), Region("lesion", 2, "lesion")))
    assert case.organ_volume_mm3 == pytest.approx(40 * 80 * 40 * 2)
    assert case.ring_volumes_mm3[0][1] == 0
    assert case.ring_volumes_mm3[0][0] > 0


def test_context_regions_do_not_count_as_regions():
    case = measured(two_balls(), regions=(Region("vein", 2, "context"),))
    assert case.region_extent_mm is None
    assert case.lesion_volumes_mm3 == ()
    assert case.context_regions == 1


def test_distances_are_those_of_context_regions_where_there_are_no_others():
    labels = two_balls()
    labels[:, :, 40:][labels[:, :, 40:] == 2] = 3
    vessels = (Region("vein", 2, "context"), Region("artery", 3, "context"), Region("duct", 4, "context"))
    case = measured(labels, regions=vessels)
    assert case.context_regions == 2
    assert case.neighbour_distances_mm == pytest.approx((40, 40), abs=0.5)
    assert measured(labels, regions=(*vessels[1:], *LESION)).neighbour_distances_mm == ()


def test_intensities_are_those_inside_the_regions_and_of_the_body_without():
    ct = np.full(SIZE, -1000.0, np.float32)
    ct[10:30] = 10.0
    labels = two_balls()
    ct[labels == 2] = np.linspace(0, 100, int((labels == 2).sum()))
    inside = measured(labels, ct=ct).intensities["CT"]
    assert inside.quantiles == pytest.approx([100 * level for level in QUANTILE_LEVELS], abs=0.2)
    assert inside.mean == pytest.approx(50, abs=0.2)
    body = measured(None, ct=ct).intensities["CT"]
    assert body.quantiles[0] >= 0


def test_suv_is_measured_on_its_own_grid_and_its_mean_is_of_the_logarithm():
    pet = np.full((20, 20, 20), 3.0, np.float32)
    case = measured(two_balls(), pet=image(pet, (4.0, 4.0, 2.0)))
    assert case.present == (True, True)
    assert case.valid_fraction == pytest.approx((1.0, 0.5), abs=0.03)
    assert case.intensities["FDG"].mean == pytest.approx(math.log(4))
    assert case.intensities["FDG"].quantiles == (3.0,) * len(QUANTILE_LEVELS)


def test_a_missing_channel_is_recorded_as_such():
    case = measured(two_balls())
    assert case.present == (True, False)
    assert case.valid_fraction == (1.0, 0.0)
    assert set(case.intensities) == {"CT"}


def test_measurements_are_stored_and_taken_up_again_while_the_files_are_the_same(tmp_path, monkeypatch):
    raw = make_raw(tmp_path, 1)
    row = LabelledCase("case_0", "patient_0", 0)
    options = {"raw": raw, "dataset": DATASET, "store": tmp_path / "store"}
    first = fingerprint_case(row, **options)
    monkeypatch.setattr("reactkd_auto.planning.fingerprint.load_registered", lambda *_, **__: pytest.fail("measured"))
    assert fingerprint_case(row, **options) == first
    assert fingerprint_case(LabelledCase("case_0", "other", 1), **options).patient == "other"


def test_the_input_hash_sees_files_and_what_dataset_json_says_about_them(tmp_path):
    raw = make_raw(tmp_path, 1)
    before = input_hash(raw, DATASET, "case_0")
    assert input_hash(raw, DATASET, "case_0") == before
    renamed = Dataset(
        "Tiny", (Channel("shape", "binary_mask"), Channel("ACE", "pet_suv")), ("low", "high"), DATASET.regions
    )
    assert input_hash(raw, renamed, "case_0") != before
    path = raw / "imagesTr" / "case_0_0001.nii.gz"
    content = path.read_bytes()
    path.unlink()
    without = input_hash(raw, DATASET, "case_0")
    path.write_bytes(content[:-1] + b"x")
    assert len({before, without, input_hash(raw, DATASET, "case_0")}) == 3
