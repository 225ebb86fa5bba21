"""What training saw: distances to the cohort, limits, what is forgiven."""

import dataclasses

import numpy as np
import pytest

from reactkd_auto.fingerprint import QUANTILE_LEVELS, Fingerprint
from reactkd_auto.inference.domain import LEVELS, SMALLEST_LIMIT_HU, Domain, at_levels, domain_of
from tests.builders import small_dataset, small_plan
from tests.inference.conftest import measured_case


def domain(*cases, lowest_dose=None):
    plan = small_plan()
    dose = dataclasses.replace(plan.dose, enabled=lowest_dose is not None, range=(lowest_dose or 1.0, 1.0))
    cohort = cases or [measured_case(seed) for seed in range(6)]
    return domain_of(Fingerprint("D", tuple(cohort)), dataclasses.replace(plan, dose=dose), small_dataset())


def quantiles_of(values):
    return at_levels(tuple(np.quantile(values, QUANTILE_LEVELS)))


def test_a_training_case_is_at_distance_nought_and_a_shift_is_measured_in_hu():
    known = domain()
    assert known.distance_hu(known.quantiles[2]) == 0
    assert known.distance_hu(known.quantiles[2] + 300) == pytest.approx(300, abs=5)


def test_like_cases_are_within_the_limit_of_a_cohort_of_one_kind():
    known = domain()
    other = measured_case(17)
    assert known.limit_hu >= SMALLEST_LIMIT_HU
    assert known.distance_hu(at_levels(other.intensities["CT"].quantiles)) < known.limit_hu


def test_a_cohort_of_two_kinds_knows_both_and_not_what_lies_between():
    rng = np.random.default_rng(0)
    kinds = [rng.normal(m + rng.normal(0, 3), 20, 2000) for m in (40, 240) for _ in range(8)]
    known = Domain(np.stack([quantiles_of(v) for v in kinds]), limit_hu=20.0)
    assert known.distance_hu(quantiles_of(rng.normal(40, 20, 2000))) < 20
    assert known.distance_hu(quantiles_of(rng.normal(240, 20, 2000))) < 20
    assert known.distance_hu(quantiles_of(rng.normal(140, 20, 2000))) > 20


def test_noise_of_a_dose_that_training_drew_is_forgiven_and_no_more():
    rng = np.random.default_rng(0)
    known = domain(lowest_dose=0.05)
    same, added = np.array(known.quantiles[0]), np.array(known.added_noise_hu)
    assert added[-1] == pytest.approx(8.0 * np.sqrt(19))
    tissue = np.concatenate([rng.normal(90, 8, 20_000), rng.normal(140, 8, 2_000)])
    noisy = quantiles_of(tissue + rng.normal(0, added[-1], tissue.size))
    assert known.distance_hu(noisy) < known.limit_hu < domain().distance_hu(noisy)
    assert known.distance_hu(same + np.array([-200.0, -80, 0, 80, 200])) > known.limit_hu
    assert known.noise_hu == pytest.approx((8.0, 8.0 * np.sqrt(20)))


def test_volumes_and_extents_have_a_margin_of_two():
    cases = [dataclasses.replace(measured_case(s), organ_volume_mm3=v) for s, v in enumerate((1e4, 4e4))]
    known = domain(*cases)
    assert known.organ_mm3 == (5e3, 8e4)
    assert known.organ_always
    assert known.extent_mm[0] == pytest.approx(2 * max(c.region_extent_mm[0] for c in cases))


def test_too_few_cases_or_no_fingerprint_exclude_nothing():
    for known in (domain(measured_case(0)), domain_of(None, small_plan(), small_dataset())):
        assert known.distance_hu(np.full(len(LEVELS), 5000.0)) <= known.limit_hu
