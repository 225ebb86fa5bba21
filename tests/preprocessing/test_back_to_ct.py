import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.imageio import same_grid
from reactkd_auto.preprocessing import preprocess_case
from reactkd_auto.preprocessing.back_to_ct import paint_on_ct
from tests.preprocessing.samples import LESION, dataset, plan, positions, ramp, raw_case

OBLIQUE = tuple(np.array([[0.98, -0.199, 0], [0.199, 0.98, 0], [0, 0, 1]]).ravel().tolist())


def test_a_lesion_painted_back_lies_where_it_was() -> None:
    raw = raw_case(direction=OBLIQUE)
    case = preprocess_case(raw, plan=plan(), dataset=dataset(), patient="p", label=0)
    lesion = (case.nodes[0] == 4).astype(np.float32)
    painted = paint_on_ct(lesion, case.properties)
    assert same_grid(painted, raw.images[0])
    assert np.array_equal(sitk.GetArrayFromImage(painted) > 0.5, sitk.GetArrayFromImage(raw.regions) == LESION)


def test_values_return_to_their_positions_and_are_zero_outside_the_box() -> None:
    raw = raw_case()
    raw = type(raw)(raw.case, {0: ramp(raw.images[0], (1.0, -1.0, 2.0))}, raw.regions)
    case = preprocess_case(raw, plan=plan(patch_size=(4, 16, 16)), dataset=dataset(), patient="p", label=0)
    assert case.properties.zoom > 1
    painted = paint_on_ct(case.image[0], case.properties)
    inside = sitk.GetArrayFromImage(paint_on_ct(np.ones(case.valid.shape), case.properties)) > 0
    expected = positions(raw.images[0]) @ (1.0, -1.0, 2.0)
    found = sitk.GetArrayFromImage(painted)
    assert 0 < inside.sum() < inside.size
    assert not found[~inside].any()
    centre = (slice(9, 15), slice(11, 19), slice(10, 18))
    assert found[centre] == pytest.approx(expected[centre], abs=0.6)


def test_another_geometry_of_the_same_patient_may_be_asked_for() -> None:
    raw = raw_case()
    case = preprocess_case(raw, plan=plan(), dataset=dataset(), patient="p", label=0)
    flipped = sitk.Flip(raw.images[0], [True, False, True])
    own = dataclasses.replace(
        case.properties, original_origin_mm=flipped.GetOrigin(), original_direction=flipped.GetDirection()
    )
    lesion = (case.nodes[0] == 4).astype(np.float32)
    there = sitk.GetArrayFromImage(paint_on_ct(lesion, own))
    assert there == pytest.approx(sitk.GetArrayFromImage(paint_on_ct(lesion, case.properties))[::-1, :, ::-1], abs=1e-5)
