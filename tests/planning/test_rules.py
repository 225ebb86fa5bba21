import dataclasses
import math

import numpy as np
import pytest

from reactkd_auto.dataset import Channel, Region
from reactkd_auto.fingerprint import DoseMeasurement
from reactkd_auto.plan import EncoderPlan, NetworkPlan
from reactkd_auto.planning.cohort import largest_but_outliers, pool
from reactkd_auto.planning.rules import graph as graph_rules
from reactkd_auto.planning.rules.dose import dose
from reactkd_auto.planning.rules.grid import target_spacing
from reactkd_auto.planning.rules.hardware import Budget, Hardware
from reactkd_auto.planning.rules.lesions import diameter, kept_lesions, smallest_lesion
from reactkd_auto.planning.rules.localiser import MULTIPLE, localiser
from reactkd_auto.planning.rules.normalisation import normalisation
from reactkd_auto.planning.rules.teachers import structure_function_teacher
from reactkd_auto.planning.rules.topology import encoder_parameters, encoder_strides, stem_stride, stride_product
from reactkd_auto.planning.rules.training import batch_size, class_balance, folds, training
from reactkd_auto.training.sampling import draw_epoch
from tests.planning.cohorts import CPU, CT, FDG, LESION, MR, ORGAN, cohort_of, intensities, new_case, new_dataset

NETWORK = NetworkPlan(
    ((2, 2, 2), (2, 2, 2), (2, 2, 2)), EncoderPlan(16, (1, 1, 1)), EncoderPlan(16, (1, 1, 1)), 64, (0, 1, 2)
)
UNIT = (1.0, 1.0, 1.0)


def cohort_with(count=20, **changes):
    return cohort_of([new_case(i, **changes) for i in range(count)])


def graph_of(cohort, spacing=UNIT):
    return graph_rules.graph(cohort, NETWORK, spacing)[0]


def test_spacing_is_the_median():
    cases = [new_case(i, spacing_mm=(2.0, 1.0 + i, 1.0)) for i in range(5)]
    assert target_spacing(cohort_of(cases))[0] == (2.0, 3.0, 1.0)


def test_an_axis_over_three_times_coarser_gets_its_tenth_percentile():
    cases = [new_case(i, spacing_mm=(3.0 if i < 3 else 5.0, 1.0, 1.0)) for i in range(20)]
    spacing, reason = target_spacing(cohort_of(cases))
    assert spacing[0] == pytest.approx(np.percentile([c.spacing_mm[0] for c in cases], 10))
    assert "10th percentile" in reason


def test_extents_beyond_one_and_a_half_times_the_95th_percentile_are_left_out():
    extents = [(10.0 + i / 100, 20.0, 30.0) for i in range(99)]
    assert largest_but_outliers([*extents, (90.0, 25.0, 30.0)]) == pytest.approx((10.98, 25.0, 30.0))


def test_pooled_percentiles_are_those_of_the_mixture():
    rng = np.random.default_rng(0)
    groups = [rng.normal(0, 10, 20_000), rng.normal(100, 20, 20_000)]
    levels = (0, 0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995, 1)
    measured = [
        dataclasses.replace(
            intensities(),
            quantiles=tuple(map(float, np.quantile(g, levels))),
            mean=float(g.mean()),
            std=float(g.std()),
        )
        for g in groups
    ]
    pooled, both = pool(measured), np.concatenate(groups)
    assert pooled.mean == pytest.approx(both.mean(), abs=1e-6)
    assert pooled.std == pytest.approx(both.std(), rel=1e-6)
    assert pooled.lower == pytest.approx(np.percentile(both, 0.5), abs=4)
    assert pooled.upper == pytest.approx(np.percentile(both, 99.5), abs=8)


def test_pooling_a_constant_channel_gives_that_constant():
    pooled = pool([dataclasses.replace(intensities(), quantiles=(7.0,) * 9)])
    assert pooled.lower == pooled.upper == 7.0


def test_small_components_do_not_count_but_a_largest_always_does():
    cohort = cohort_of([new_case(0, lesions=(500.0, 70.0, 60.0)), new_case(1, lesions=(9.0, 8.0))])
    assert smallest_lesion(UNIT) == 65.0
    assert smallest_lesion((3.0, 3.0, 3.0)) == 8 * 27
    assert kept_lesions(cohort, 65.0) == [[500.0, 70.0], [9.0]]


def test_diameter_is_that_of_the_sphere():
    assert diameter(4 / 3 * math.pi * 5**3) == pytest.approx(10)


@pytest.mark.parametrize(
    ("counts", "nodes", "others"), [([1] * 20, 1, False), ([1, 3] * 10, 3, False), ([40], 16, True)]
)
def test_lesion_nodes_follow_the_95th_percentile_of_components(counts, nodes, others):
    plan = graph_of(cohort_of([new_case(i, lesions=(1e4,) * n) for i, n in enumerate(counts)]))
    assert plan.lesions == nodes
    assert plan.other_lesions == others


@pytest.mark.parametrize(("patients", "parcels"), [(20, 2), (60, 4), (150, 8), (300, 12)])
def test_parcels_are_limited_by_patients(patients, parcels):
    plan = graph_of(cohort_with(patients, organ_volume_mm3=1.5e6))
    assert math.prod(plan.parcels) == parcels
    assert graph_rules.node_count(plan) <= graph_rules.NODE_BUDGET


def test_parcels_are_limited_by_the_organ_volume():
    """Three feature voxels of 8 mm: 13,824 mm³ a parcel."""
    assert math.prod(graph_of(cohort_with(300, organ_volume_mm3=4.5 * 24**3)).parcels) == 4
    assert math.prod(graph_of(cohort_with(300, organ_volume_mm3=1.9 * 24**3)).parcels) == 0
    assert math.prod(graph_of(cohort_with(300)).parcels) == 0


@pytest.mark.parametrize(("spacing", "width"), [(0.5, 5.0), (1.5, 6.0), (4.0, 10.0)])
def test_ring_width_is_two_feature_voxels_within_bounds(spacing, width):
    assert graph_rules.ring_width(NETWORK, (spacing,) * 3) == pytest.approx(width)


def test_rings_need_room_round_enough_lesions():
    roomy = [new_case(i) for i in range(6)]
    tight = [new_case(i, ring_volumes_mm3=((10.0,),) * 3) for i in range(6, 10)]
    assert graph_of(cohort_of([*roomy, *tight])).rings == "per_lesion"
    tighter = [new_case(i, ring_volumes_mm3=((10.0,),) * 3) for i in range(5, 10)]
    assert graph_of(cohort_of([*roomy[:5], *tighter])).rings == "none"


def test_many_lesions_share_one_ring():
    assert graph_of(cohort_with(lesions=(1e4,) * 5)).rings == "merged"


def test_the_node_budget_takes_parcels_then_rings_then_lesions_then_contexts():
    whole = graph_of(cohort_with(300, organ_volume_mm3=1.5e6, lesions=(1e4,) * 4))

    def shrunk(**changes):
        return graph_rules.within_budget(dataclasses.replace(whole, **changes))[0]

    assert graph_rules.node_count(whole) == 1 + 12 + 4 + 4
    fewer_parcels = shrunk(context=tuple(range(10, 23)))
    assert (math.prod(fewer_parcels.parcels), fewer_parcels.rings) == (8, "per_lesion")
    merged = shrunk(context=tuple(range(10, 36)))
    assert (math.prod(merged.parcels), merged.rings, merged.lesions) == (0, "merged", 4)
    fewer = shrunk(context=tuple(range(10, 38)))
    assert (fewer.rings, fewer.lesions, fewer.other_lesions) == ("merged", 1, True)
    cut = shrunk(context=tuple(range(10, 60)))
    assert graph_rules.node_count(cut) == graph_rules.NODE_BUDGET
    assert cut.context == tuple(range(10, 10 + len(cut.context)))


def test_edges_fade_over_the_median_distance_or_the_lesion_diameter():
    assert graph_of(cohort_with(neighbour_distances_mm=(30.0, 40.0))).edge_sigma_mm == 35.0
    assert graph_of(cohort_with(lesions=(4 / 3 * math.pi * 1000,))).edge_sigma_mm == pytest.approx(20.0)


def test_context_regions_of_the_dataset_become_nodes():
    dataset = new_dataset(regions=(LESION, Region("vein", 9, "context")))
    plan, _ = graph_rules.graph(cohort_of([new_case(i) for i in range(9)], dataset), NETWORK, UNIT)
    assert plan.context == (9,)


def test_coarse_axes_are_halved_later():
    strides = encoder_strides((16, 64, 64), (5.0, 1.0, 1.0), (1, 1, 1))
    assert strides == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2))
    assert stride_product(strides) == (2, 8, 8)


def test_no_axis_falls_below_four_feature_voxels():
    assert encoder_strides((8, 8, 8), UNIT, (1, 1, 1)) == ((1, 1, 1), (2, 2, 2))


def test_a_patch_that_must_not_grow_is_only_halved_while_it_divides():
    assert stride_product(encoder_strides((40, 40, 40), UNIT, (1, 1, 1), exact=True)) == (8, 8, 8)
    assert stride_product(encoder_strides((56, 56, 56), UNIT, (2, 2, 2), exact=True)) == (8, 8, 8)


@pytest.mark.parametrize(("size_mm", "stride"), [(5.9, (1, 1, 1)), (6.1, (2, 2, 2)), (None, (2, 2, 2))])
def test_the_stem_halves_where_a_typical_lesion_keeps_three_feature_voxels(size_mm, stride):
    assert stem_stride((64, 64, 64), UNIT, size_mm, "cpu")[0] == stride
    assert stem_stride((64, 64, 64), UNIT, size_mm, "cuda")[0] == (1, 1, 1)


def test_parameter_count_is_that_of_the_convolutions():
    """Width 2, blocks (1, 2): 2·27·2² + 2·2·27·4² + 27·2·4."""
    assert encoder_parameters(2, (1, 2)) == 216 + 1728 + 216


def test_a_budget_counts_the_patch_and_the_first_stage():
    budget = Budget(1000, 200, "")
    assert budget.affords((10, 10, 10), (2, 2, 2))
    assert not budget.affords((10, 10, 10), (1, 2, 2))
    assert not budget.affords((10, 10, 11), (2, 2, 2))


def test_suv_is_scaled_by_cohort_constants_and_fits_its_storage():
    dataset = new_dataset((CT, FDG, MR))
    planned, _ = normalisation(cohort_of([new_case(i, dataset) for i in range(9)], dataset))
    suv = planned["FDG"]
    assert (suv.scheme, suv.lower) == ("pet_suv", 0.0)
    assert suv.upper / suv.storage_scale <= 32767
    assert (planned["T1"].scheme, planned["T1"].mean, planned["T1"].std) == ("mr", 0.0, 1.0)
    assert (planned["CT"].lower, planned["CT"].upper, planned["CT"].storage_scale) == (-99.0, 199.0, 1.0)


def test_one_hot_case_does_not_decide_the_suv_cap():
    cases = [new_case(i) for i in range(40)]
    usual = normalisation(cohort_of(cases))[0]["FDG"]
    hot = {"CT": intensities(), "FDG": intensities(0.0, 9000.0)}
    assert normalisation(cohort_of([*cases, new_case(40, intensities=hot)]))[0]["FDG"].upper == usual.upper


WHOLE_BODY = {"CT": intensities(-1000.0, 1500.0), "FDG": intensities(0.0, 40.0)}
"""What is measured on a case without regions."""


def undrawn(number, **changes):
    return new_case(number, region_extent_mm=None, lesions=(), intensities=WHOLE_BODY, **changes)


def test_cases_that_nobody_drew_do_not_widen_the_windows_of_the_others():
    drawn = [new_case(i) for i in range(40)]
    with_undrawn = cohort_of([*drawn, *(undrawn(i) for i in range(40, 50))])
    planned, alone = normalisation(with_undrawn)[0], normalisation(cohort_of(drawn))[0]
    assert planned["CT"] == alone["CT"]
    assert dataclasses.replace(planned["FDG"], storage_scale=alone["FDG"].storage_scale) == alone["FDG"]
    assert with_undrawn.intensities["FDG"].highest == 40.0  # what is stored must fit, regions or not
    assert "FDG in 50 of 50 cases" in structure_function_teacher(with_undrawn)[1]


def test_windows_are_of_all_cases_where_the_plan_is_not_made_for_regions():
    mostly_undrawn = cohort_of([new_case(0), *(undrawn(i) for i in range(1, 40))])
    assert normalisation(mostly_undrawn)[0]["CT"].upper > 1000


def test_a_channel_that_only_undrawn_cases_have_is_normalised_by_these():
    only_ct = {"CT": intensities()}
    drawn = [new_case(i, intensities=only_ct, present=(True, False)) for i in range(40)]
    cohort = cohort_of([*drawn, *(undrawn(i) for i in range(40, 50))])
    assert normalisation(cohort)[0]["FDG"].mean == WHOLE_BODY["FDG"].mean


def ct_noise(departures, *, cropped=False, preset=False, pooled=1):
    ellipse, fallback = [115.0, 165.0] if cropped else None, "no patches" if preset else None
    return DoseMeasurement({"ellipse_mm": ellipse, "fallback": fallback, "patches": 99}, departures, 0.3, 100, pooled)


BEARS_5 = (1.2, 1.15, 1.1, 1.05, 1.03, 1.02)
BEARS_10 = (1.9, 1.6, 1.3, 1.2, 1.1, 1.1)
STARVED = (0.9, 1.3, 1.8, 1.9, 1.6, 1.5)


@pytest.mark.parametrize(
    ("departures", "lowest", "levels"),
    [
        (BEARS_5, 0.05, (0.05, 0.1, 0.25, 0.5)),
        (BEARS_10, 0.1, (0.1, 0.25, 0.5)),
        (STARVED, 0.25, (0.25, 0.5)),  # below 1 again at 5 %: no photon is left, and that does not count as near
    ],
)
def test_the_lowest_dose_is_the_one_that_the_median_cts_noise_bears(departures, lowest, levels):
    planned, reason = dose(cohort_of([new_case(i, dose=ct_noise(departures)) for i in range(9)]))
    assert (planned.range, planned.levels) == ((lowest, 1.0), levels)
    assert f"{lowest:.0%} because there the median case's added noise is" in reason


def test_a_few_noisy_cts_do_not_decide():
    noises = [ct_noise(BEARS_5 if i < 6 else STARVED) for i in range(10)]
    assert dose(cohort_of([new_case(i, dose=d) for i, d in enumerate(noises)]))[0].range[0] == 0.05


@pytest.mark.parametrize("assumed", [{"cropped": True}, {"preset": True}])
def test_crops_and_presets_are_not_trusted_below_a_tenth(assumed):
    def lowest(count):
        noises = [ct_noise(BEARS_5, **assumed) if i < count else ct_noise(BEARS_5) for i in range(10)]
        return dose(cohort_of([new_case(i, dose=d) for i, d in enumerate(noises)]))

    planned, reason = lowest(6)
    assert planned.range[0] == 0.1
    assert "6 of 10 cases" in reason
    assert lowest(5)[0].range[0] == 0.05
    starved = [new_case(i, dose=ct_noise(STARVED, **assumed)) for i in range(4)]
    assert dose(cohort_of(starved))[0].range[0] == 0.25


def test_where_the_calibrations_come_from_stands_in_the_reason():
    noises = [ct_noise(BEARS_5), ct_noise(BEARS_5, cropped=True, pooled=3), ct_noise(BEARS_5, preset=True)]
    _, reason = dose(cohort_of([new_case(i, dose=d) for i, d in enumerate(noises)]))
    assert reason.endswith(
        "1 of 3 CTs are calibrated by themselves, 1 with CTs of their kind, 1 rest on a preset, "
        "1 are crops in an assumed body"
    )


def test_dose_is_off_for_a_mask_and_the_structure_function_teacher_without_privileged_channels():
    shape = new_dataset((Channel("shape", "binary_mask"),))
    cohort = cohort_of([new_case(i, shape) for i in range(9)], shape)
    assert not dose(cohort)[0].enabled
    teacher, reason = structure_function_teacher(cohort)
    assert not teacher
    assert "only channel" in reason
    assert structure_function_teacher(cohort_with())[0]


def test_a_privileged_channel_that_no_case_has_makes_no_teacher():
    only_ct = {"CT": intensities()}
    assert not structure_function_teacher(cohort_with(intensities=only_ct, present=(True, False)))[0]


def test_the_localiser_sees_the_largest_image_whole_and_coarser_than_the_plan():
    cohort = cohort_with(size=(300, 512, 512), spacing_mm=(3.0, 0.9, 0.9))
    for hardware, most in ((CPU, 64**3), (Hardware("cuda", 24.0), 96**3)):
        planned, _ = localiser(cohort, hardware, (3.0, 1.0, 1.0))
        assert planned.enabled
        assert min(planned.spacing_mm) >= 2
        assert math.prod(planned.patch_size) <= most
        assert all(n % MULTIPLE == 0 for n in planned.patch_size)
        covered = [n * s for n, s in zip(planned.patch_size, planned.spacing_mm, strict=True)]
        assert all(c >= e - 1e-3 for c, e in zip(covered, cohort.image_extent_mm, strict=True))


def test_tiny_images_keep_a_finer_localiser():
    planned, _ = localiser(cohort_with(size=(40, 50, 50), spacing_mm=UNIT), CPU, UNIT)
    assert max(planned.spacing_mm) == pytest.approx(50 / 32)


@pytest.mark.parametrize(("positive", "policy"), [(10, "none"), (9, "none"), (5, "balanced_sampling")])
def test_balanced_sampling_beyond_one_and_a_half(positive, policy):
    cases = [new_case(i, label=int(i < positive)) for i in range(20)]
    assert class_balance(cohort_of(cases))[0] == policy


def test_fewer_folds_for_a_rare_class():
    cases = [new_case(i, label=int(i < 3)) for i in range(30)]
    assert folds(cohort_of(cases), 5)[0] == 3
    assert folds(cohort_of(cases), 2)[0] == 2
    count, reason = folds(cohort_of([new_case(i, label=int(i < 1)) for i in range(9)]), 5)
    assert count == 2
    assert "too few" in reason


def test_batches_are_limited_by_cases_and_the_rarest_class():
    assert batch_size(cohort_with(1000), CPU)[0] == 8
    assert batch_size(cohort_with(42), CPU)[0] == 4
    assert batch_size(cohort_with(12), Hardware("cuda", 80.0))[0] == 3
    rare = cohort_of([new_case(i, label=int(i < 2)) for i in range(300)])
    assert batch_size(rare, Hardware("cuda", 80.0))[0] == 4


@pytest.mark.parametrize(("graded", "ungraded"), [(60, 0), (60, 20), (60, 180), (600, 0), (600, 200), (600, 1800)])
def test_teachers_see_a_graded_case_as_often_as_the_student_does_but_at_most_25_times(graded, ungraded):
    cases = [dataclasses.replace(new_case(i), label=i % 2 if i < graded else None) for i in range(graded + ungraded)]
    plan, reason = training(cohort_of(cases), CPU, 8, 3)
    training_cases = cases[graded // 3 :]
    epoch = draw_epoch(
        training_cases, 8 * plan.iterations_per_epoch, balanced=False, generator=np.random.default_rng(0)
    )
    share = sum(c.label is not None for c in epoch) / len(epoch)
    assert plan.graded_share == pytest.approx(share, abs=0.01)
    by_student = plan.student_epochs * len(epoch) * share / (graded * 2 / 3)
    by_teachers = plan.teacher_epochs * len(epoch) / (graded * 2 / 3)
    an_epoch = len(epoch) / (graded * 2 / 3)
    assert min(by_student, 25) - 0.1 <= by_teachers < min(by_student, 25) + an_epoch + 0.1
    if by_student <= 25:
        assert by_teachers == pytest.approx(by_student, rel=0.06)
    assert ("graded cases alone" in reason) == (ungraded > 0 or by_student > 25)
    assert ("each about 25 times" in reason) == (by_student > 25)


def test_context_regions_make_a_graph_but_no_localiser_where_there_are_no_others():
    parts = tuple(Region(f"supervoxel_{i}", i, "context") for i in range(1, 9))
    changes = {"lesions": (), "region_extent_mm": None, "neighbour_distances_mm": (90.0, 80.0, 70.0)}

    def planned(share, regions=parts):
        dataset = new_dataset(regions=regions)
        cases = [new_case(i, dataset, context_regions=8 * (i < 20 * share), **changes) for i in range(20)]
        return cohort_of(cases, dataset)

    plan, why = graph_rules.graph(planned(0.8), NETWORK, UNIT)
    assert (plan.enabled, plan.context, plan.edge_sigma_mm) == (True, tuple(range(1, 9)), 80.0)
    assert "80% of the cases have a context region" in why
    assert graph_rules.node_count(plan) == 8
    assert not localiser(planned(1.0), CPU, UNIT)[0].enabled
    assert not graph_of(planned(0.75)).enabled
    lesion = Region("tumour", 9, "lesion")
    assert not graph_of(planned(1.0, (*parts, lesion))).enabled


def test_an_organ_without_lesions_makes_a_graph():
    dataset = new_dataset(regions=(ORGAN,))
    cases = [new_case(i, dataset, lesions=(), organ_volume_mm3=1.5e6) for i in range(60)]
    plan, _ = graph_rules.graph(cohort_of(cases, dataset), NETWORK, UNIT)
    assert (plan.enabled, plan.organ, plan.lesions, plan.rings) == (True, True, 0, "none")
    assert math.prod(plan.parcels) == 4
