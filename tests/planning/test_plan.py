import dataclasses
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactkd_auto.dataset import Channel, Region
from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import QUANTILE_LEVELS, RING_WIDTHS_MM, CaseFingerprint, Intensities
from reactkd_auto.plan import read_plan, write_plan
from reactkd_auto.planning.rules.graph import NODE_BUDGET, node_count
from reactkd_auto.planning.rules.grid import MARGIN_MM
from reactkd_auto.planning.rules.hardware import SMALLEST_VOXELS, VOXELS, Hardware
from reactkd_auto.planning.rules.memory import USABLE
from reactkd_auto.planning.rules.topology import SMALLEST_GRID, STUDENT_PARAMETERS, encoder_parameters, stride_product
from reactkd_auto.planning.table import LABELS, plan_table
from tests.planning.cohorts import (
    CPU,
    CT,
    FDG,
    LESION,
    MR,
    ORGAN,
    cohort_of,
    new_case,
    new_dataset,
    nodule_like,
    plan_of,
    planned_gigabytes,
    sarcoma_like,
)

BARE = {"dataset", "name", "splits_hash", "fingerprint_hash", "reasons", "chosen_by_user", "schema_version"}
GPU = Hardware("cuda", 24.0)


def harm(plan):
    """How far a plan goes to hold a batch."""
    return plan.held_at_once < 2, plan.checkpointing, plan.accumulation_steps


def edges(low, high):
    return st.tuples(*[st.floats(low, high, allow_nan=False)] * 3)


def positive(high):
    return st.floats(0.01, high, allow_nan=False)


@st.composite
def datasets(draw):
    base = draw(st.sampled_from([CT, Channel("shape", "binary_mask")]))
    others = draw(st.lists(st.sampled_from([FDG, MR, Channel("map", "other")]), unique=True, max_size=3))
    named = [Region(f"vessel{i}", 10 + i, "context") for i in range(draw(st.integers(0, 40)))]
    regions = draw(st.lists(st.sampled_from([LESION, ORGAN]), unique=True)) + named
    return new_dataset(
        (base, *others),
        regions,
        classes=tuple("abcd"[: draw(st.integers(2, 4))]),
        left_right_symmetric=draw(st.booleans()),
    )


@st.composite
def cases(draw, dataset, number):
    present = (True, *draw(st.tuples(*[st.booleans()] * (len(dataset.channels) - 1))))
    region = draw(st.one_of(st.none(), edges(0.5, 900.0)))
    lesions = sorted(draw(st.lists(positive(1e6), max_size=25)), reverse=True) if region else []
    rings = tuple(tuple(draw(st.floats(0, 2)) * v for v in lesions) for _ in RING_WIDTHS_MM)
    values = {}
    for flag, channel in zip(present, dataset.channels, strict=True):
        if flag:
            quantiles = sorted(draw(st.lists(st.floats(-1e4, 1e4), min_size=9, max_size=9)))
            assert len(quantiles) == len(QUANTILE_LEVELS)
            spread = draw(st.floats(0, 5e3))
            values[channel.name] = Intensities(100, tuple(quantiles), quantiles[4], spread, quantiles[-1])
    return CaseFingerprint(
        case=f"c{number}",
        patient=f"p{draw(st.integers(0, number))}",
        label=draw(st.one_of(st.none(), st.integers(0, len(dataset.classes) - 1))) if number else 0,
        input_hash="h",
        size=draw(st.tuples(*[st.integers(1, 700)] * 3)),
        spacing_mm=draw(edges(0.1, 12.0)),
        present=present,
        valid_fraction=tuple(map(float, present)),
        intensities=values,
        region_extent_mm=region,
        lesion_volumes_mm3=tuple(lesions),
        ring_volumes_mm3=rings,
        organ_volume_mm3=draw(st.one_of(st.none(), positive(3e6))) if region else None,
        neighbour_distances_mm=tuple(draw(st.lists(st.floats(0, 500), max_size=3))),
    )


@st.composite
def cohorts(draw):
    dataset = draw(datasets())
    count = draw(st.integers(1, 12))
    return dataset, [draw(cases(dataset, i)) for i in range(count)]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(cohorts(), st.sampled_from([CPU, Hardware("cuda", 4.0), Hardware("cuda", 80.0)]))
def test_any_fingerprint_gives_a_valid_plan(drawn, hardware):
    dataset, drawn_cases = drawn
    plan = plan_of(drawn_cases, dataset, hardware=hardware)
    product = stride_product(plan.network.strides)
    assert all(n % p == 0 and n // p >= SMALLEST_GRID for n, p in zip(plan.patch_size, product, strict=True))
    assert len(plan.network.strides) >= 2
    assert len(plan.network.teacher.blocks) == len(plan.network.student.blocks) == len(plan.network.strides)
    assert encoder_parameters(plan.network.student.width, plan.network.student.blocks) <= STUDENT_PARAMETERS
    assert plan.network.pooled_stages[0] == 0
    assert max(plan.network.pooled_stages) < len(plan.network.strides)
    assert math.prod(plan.patch_size) <= VOXELS[hardware.device]
    assert 1 <= plan.accumulation_steps <= plan.batch_size
    if hardware.device == "cuda" and math.prod(plan.patch_size) > SMALLEST_VOXELS:
        assert planned_gigabytes(plan, dataset) <= USABLE * hardware.gpu_memory_gb
    cohort = cohort_of(drawn_cases, dataset)
    covered = [n * s for n, s in zip(plan.patch_size, plan.spacing_mm, strict=True)]
    assert all(c >= e - 1e-3 for c, e in zip(covered, cohort.extent_mm, strict=True))
    assert node_count(plan.graph) <= NODE_BUDGET
    assert plan.graph.edge_sigma_mm > 0
    assert plan.batch_size >= 1
    assert 2 <= plan.folds <= 5
    assert plan.training.iterations_per_epoch >= 1
    assert 0 < plan.training.ema_decay < 1
    assert set(plan.normalisation) == {c.name for c in dataset.channels}
    assert all(n.upper > n.lower and n.std > 0 and n.storage_scale > 0 for n in plan.normalisation.values())
    assert all(n >= 1 for n in plan.localiser.patch_size)
    assert plan.structure_function_teacher <= (len(dataset.channels) > 1)
    assert plan.dose.enabled == (dataset.base.role == "ct")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(cohorts(), st.lists(st.floats(1, 200), min_size=2, max_size=2))
def test_more_memory_never_gives_a_smaller_patch_or_a_coarser_grid(drawn, memories):
    dataset, drawn_cases = drawn
    less, more = (plan_of(drawn_cases, dataset, hardware=Hardware("cuda", m)) for m in sorted(memories))
    assert math.prod(less.patch_size) <= math.prod(more.patch_size)
    assert all(a >= b for a, b in zip(less.spacing_mm, more.spacing_mm, strict=True))
    assert less.batch_size == more.batch_size
    if less.patch_size == more.patch_size:
        assert harm(less) >= harm(more)


@pytest.mark.parametrize("hardware", [CPU, GPU])
@pytest.mark.parametrize("cohort", [sarcoma_like(), nodule_like(60), sarcoma_like(12), nodule_like(3000)])
def test_every_value_has_a_reason(cohort, hardware):
    plan = plan_of(cohort, new_dataset(tuple({"CT": CT, "FDG": FDG, "T1": MR}[n] for n in cohort[0].intensities)))
    wanted = {f.name for f in dataclasses.fields(plan)} - BARE
    assert set(plan.reasons) == wanted - {"cost"}
    assert all(len(reason) > 10 for reason in plan.reasons.values())


@pytest.mark.parametrize("hardware", [CPU, GPU])
@pytest.mark.parametrize(
    ("cases", "batches", "epochs", "teacher_epochs"),
    [(12, (3, 3), (60, 300), (25, 25)), (12_000, (8, 16), (10, 60), (10, 25))],
)
def test_tiny_and_huge_cohorts_get_sensible_plans(cases, batches, epochs, teacher_epochs, hardware):
    cohort = nodule_like(cases)
    plan = plan_of(cohort, new_dataset((CT,)), hardware=hardware)
    on_gpu = hardware.device == "cuda"
    assert plan.batch_size == batches[on_gpu]
    assert plan.folds == 5
    assert plan.training.student_epochs == epochs[on_gpu]
    assert plan.training.teacher_epochs == teacher_epochs[on_gpu]
    trained_on = plan.training.iterations_per_epoch * plan.batch_size
    assert trained_on == pytest.approx(cases * 4 / 5, rel=0.3)
    assert (plan.accumulation_steps, plan.checkpointing) == (1, False)
    assert max(plan.spacing_mm) <= 1.25


def test_little_memory_is_met_with_parts_then_checkpointing_and_never_with_a_cut_lesion():
    def planned(gigabytes):
        return plan_of(sarcoma_like(), new_dataset((CT, FDG, MR)), hardware=Hardware("cuda", gigabytes))

    plans = [planned(gigabytes) for gigabytes in (80.0, 24.0, 11.0, 4.0, 2.0, 1.0)]
    assert [harm(p) for p in plans[:3]] == sorted(harm(p) for p in plans[:3])
    assert harm(plans[0]) == (False, False, 1)
    assert plans[0].patch_size == plans[2].patch_size
    assert math.prod(plans[-1].patch_size) < math.prod(plans[0].patch_size)
    for plan in plans:
        covered = [n * s for n, s in zip(plan.patch_size, plan.spacing_mm, strict=True)]
        assert all(c >= e for c, e in zip(covered, cohort_of(sarcoma_like()).extent_mm, strict=True))
        assert plan.batch_size == plans[0].batch_size


def test_large_tumours_are_covered_on_a_cpu_by_coarser_spacing():
    cohort = sarcoma_like()
    plan = plan_of(cohort, new_dataset((CT, FDG, MR)))
    assert math.prod(plan.patch_size) <= VOXELS["cpu"]
    for axis in range(3):
        largest = max(c.region_extent_mm[axis] for c in cohort)
        assert plan.patch_size[axis] * plan.spacing_mm[axis] >= largest + 2 * MARGIN_MM[1]
    assert plan.zoomed_cases == ()
    assert max(plan.spacing_mm) < 4.5


def test_small_nodules_keep_their_resolution_on_a_cpu():
    plan = plan_of(nodule_like(), new_dataset((CT,)))
    assert max(plan.spacing_mm) <= 1.25
    assert all(40 <= n * s <= 60 for n, s in zip(plan.patch_size, plan.spacing_mm, strict=True))


def test_an_outlier_does_not_decide_the_patch_and_is_zoomed_to_fit():
    usual = [new_case(i) for i in range(40)]
    giant = new_case(40, region_extent_mm=(400.0, 400.0, 400.0))
    plan = plan_of([*usual, giant])
    assert plan.patch_size == plan_of(usual).patch_size
    (zoomed,) = plan.zoomed_cases
    assert zoomed.case == giant.case
    assert zoomed.factor == pytest.approx(
        max(400 / (n * s) for n, s in zip(plan.patch_size, plan.spacing_mm, strict=True)), abs=1e-4
    )


def test_without_regions_graph_and_localiser_are_off_and_the_patch_covers_the_image():
    cohort = [new_case(i, region_extent_mm=None if i % 2 else (30.0,) * 3, lesions=()) for i in range(20)]
    plan = plan_of(cohort)
    assert not plan.graph.enabled
    assert not plan.localiser.enabled
    assert "50%" in plan.reasons["graph"]
    assert all(n * s >= e for n, s, e in zip(plan.patch_size, plan.spacing_mm, (300, 409.6, 409.6), strict=True))


def test_choices_of_the_user_stand_in_the_plan_as_theirs():
    cohort = [new_case(i) for i in range(30)]
    plan = plan_of(
        cohort,
        spacing_mm=(2.0, 1.0, 1.0),
        patch_size=(32, 64, 40),
        batch_size=3,
        gpu_memory_gb=16.0,
        folds=3,
        hardware=Hardware("cuda", 16.0),
    )
    assert (plan.spacing_mm, plan.patch_size, plan.batch_size) == ((2.0, 1.0, 1.0), (32, 64, 40), 3)
    assert (plan.gpu_memory_gb, plan.folds) == (16.0, 3)
    assert set(plan.chosen_by_user) == {"spacing_mm", "patch_size", "batch_size", "gpu_memory_gb", "folds"}
    assert all(plan.reasons[f].startswith("chosen by the user") for f in plan.chosen_by_user)


def test_a_patch_chosen_by_the_user_coarsens_the_spacing_until_it_covers_the_regions():
    plan = plan_of([new_case(i) for i in range(30)], patch_size=(16, 16, 16))
    assert plan.chosen_by_user == ("patch_size",)
    assert all(16 * s >= 40 + 2 * MARGIN_MM[0] for s in plan.spacing_mm)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"patch_size": (30, 32, 32)}, "--patch_size"),
        ({"spacing_mm": (0.0, 1.0, 1.0)}, "--spacing"),
        ({"batch_size": 0}, "--batch_size"),
        ({"folds": 1}, "--folds"),
        ({"gpu_memory_gb": -3.0}, "--gpu_memory_gb"),
    ],
)
def test_choices_that_no_plan_can_have_are_refused(overrides, named):
    with pytest.raises(UserError, match=named):
        plan_of([new_case(i) for i in range(10)], **overrides)


def test_a_plan_survives_its_file_and_the_file_shows_who_chose(tmp_path):
    plan = plan_of(sarcoma_like(), new_dataset((CT, FDG, MR)), batch_size=2)
    write_plan(tmp_path / "plan.json", plan)
    again = read_plan(tmp_path / "plan.json")
    assert again == plan
    assert again.hash == plan.hash
    document = json.loads((tmp_path / "plan.json").read_text())
    assert document["batch_size"] == {"value": 2, "reason": "chosen by the user", "source": "user"}
    assert document["spacing_mm"]["source"] == "rule"


@pytest.mark.parametrize("spoil", ["missing", "unknown", "type"])
def test_a_spoilt_plan_file_is_refused(tmp_path, spoil):
    path = tmp_path / "plan.json"
    write_plan(path, plan_of([new_case(i) for i in range(10)]))
    document = json.loads(path.read_text())
    if spoil == "missing":
        del document["patch_size"]
    elif spoil == "unknown":
        document["patchsize"] = 3
    else:
        document["patch_size"]["value"] = "large"
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"plan\.json.*patch"):
        read_plan(path)


def test_the_table_names_every_decision_and_keeps_its_width():
    plan = plan_of(sarcoma_like(), new_dataset((CT, FDG, MR)))
    table = plan_table(plan, width=110)
    assert max(map(len, table.splitlines())) <= 110
    assert all(label in table for label in LABELS.values())
    assert set(LABELS) == {f.name for f in dataclasses.fields(plan)} - BARE


def test_the_same_fingerprint_gives_the_same_plan():
    assert plan_of(nodule_like(50), new_dataset((CT,))) == plan_of(nodule_like(50), new_dataset((CT,)))
