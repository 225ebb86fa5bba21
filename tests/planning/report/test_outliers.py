"""What stands out, and at which value exactly."""

import dataclasses

import pytest

from reactkd_auto.fingerprint import DoseMeasurement, Uptake
from reactkd_auto.planning.cohort import largest_but_outliers
from reactkd_auto.planning.report.outliers import outliers, remarks
from tests.planning.cohorts import CT, FDG, MR, intensities, new_case, new_dataset

DATASET = new_dataset((CT, FDG, MR))
ALIKE = 40


def cohort(**odd):
    """40 equal cases, whose 95th percentile one more does not move, and that one."""
    return [new_case(i, DATASET) for i in range(ALIKE)] + [new_case(ALIKE, DATASET, **odd)]


@pytest.mark.parametrize(("extent", "found"), [(60.0, False), (60.001, True)])
def test_an_outlier_is_what_lies_beyond_the_limit_of_the_patch_rule(extent, found):
    cases = cohort(region_extent_mm=(40.0, extent, 40.0))
    assert [(o.case, o.measure) for o in outliers(cases, DATASET)] == (
        [("case_00040", "extent of the regions y, mm")] if found else []
    )
    largest = largest_but_outliers([c.wanted_extent_mm for c in cases])
    assert largest == (40.0, 40.0 if found else extent, 40.0)


def test_an_outlier_stands_beside_the_cohorts_numbers():
    (found,) = outliers(cohort(lesions=(8000.0,) * 7), DATASET)
    assert dataclasses.astuple(found) == ("case_00040", "lesions", 7.0, 1.0, 1.0, 1.5, 41)


def test_uptake_is_compared_where_it_was_measured_and_mr_is_not():
    values = {"CT": intensities(), "T1": intensities(0.0, 1e6)}
    assert not outliers(cohort(intensities=values), DATASET)
    values["FDG"] = intensities(0.0, 60.0)
    (found,) = outliers(cohort(intensities=values), DATASET)
    assert found.measure.startswith("FDG: 99.5th percentile")
    assert not outliers(cohort(intensities=values, uptake={"FDG": Uptake(9.0, 8.0, 7.0, 1.0, 1.0)}), DATASET)


def test_cases_without_regions_are_no_outliers_and_no_part_of_the_percentiles():
    cases = cohort(region_extent_mm=None, lesion_volumes_mm3=())
    assert not outliers(cases, DATASET)
    assert not outliers([dataclasses.replace(c, region_extent_mm=None, lesion_volumes_mm3=()) for c in cases], DATASET)


def test_remarks_that_differ_in_numbers_stand_together_and_the_rarest_come_first():
    found = remarks({
        "b": ["resampled 1.25 times coarser", "no region"],
        "a": ["resampled 1.50 times coarser"],
        "c": [],
        "d": ["resampled 1.50 times coarser"],
    })  # fmt: skip
    assert [(r.sentence, r.cases, r.varies) for r in found] == [
        ("no region", ("b",), False),
        ("resampled 1.50 times coarser", ("a", "b", "d"), True),
    ]


def uptake(peak=8.0, body=1.0):
    return {"FDG": Uptake(9.0, peak, 7.0, 1.0, body)}


@pytest.mark.parametrize(
    ("odd", "measure"),
    [
        ({"uptake": uptake(peak=13.0)}, "FDG: SUVpeak of the lesions"),
        ({"uptake": uptake(peak=1.0)}, None),
        ({"uptake": uptake(body=2.0)}, "FDG: median SUV of the body"),
        ({"uptake": uptake(body=0.5)}, "FDG: median SUV of the body"),
        ({"body_extent_mm": (300.0, 250.0, 900.0)}, "body x, mm"),
        ({"body_extent_mm": (300.0, 250.0, 100.0)}, "body x, mm"),
        ({"region_extent_mm": (1.0, 1.0, 1.0)}, None),
    ],
)
def test_what_is_too_small_is_listed_only_where_small_is_odd(odd, measure):
    usual = {"uptake": uptake(), "body_extent_mm": (300.0, 250.0, 400.0)}
    cases = [dataclasses.replace(c, **usual) for c in cohort()]
    cases[-1] = dataclasses.replace(cases[-1], **odd)
    assert [(o.case, o.measure) for o in outliers(cases, DATASET)] == ([("case_00040", measure)] if measure else [])


@pytest.mark.parametrize(
    ("noise", "sharpness", "measure"),
    [
        (40.0, 0.3, "noise of the CT, HU"),
        (4.0, 0.3, "noise of the CT, HU"),
        (12.0, 0.1, "sharpness of the CT's noise, mm⁻¹"),
        (12.0, None, None),
        (None, 0.3, None),
    ],
)
def test_noise_and_sharpness_are_compared_in_both_directions(noise, sharpness, measure):
    usual = DoseMeasurement({}, (), 0.3, 9, noise_hu=12.0)
    cases = [dataclasses.replace(c, dose=usual) for c in cohort()]
    cases[-1] = dataclasses.replace(cases[-1], dose=dataclasses.replace(usual, noise_hu=noise, sharpness=sharpness))
    assert [(o.case, o.measure) for o in outliers(cases, DATASET)] == ([("case_00040", measure)] if measure else [])
