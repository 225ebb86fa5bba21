"""Augmentation: pure, identical on identity parameters, images and regions moving together."""

from dataclasses import fields, replace

import pytest
import torch

from reactkd_auto.preprocessing.batch import Batch, centre_window, collate
from reactkd_auto.preprocessing.normalise import normalise
from reactkd_auto.training.augment import Views, apply, centred
from reactkd_auto.training.augment_params import AugmentationParams, identity_params, make_params
from reactkd_auto.training.modality_dropout import hide_channels, hiding_probability

from .conftest import tiny_dataset, tiny_plan

DATASET = tiny_dataset()
PLAN = tiny_plan(DATASET)
STILL = identity_params(2, channels=2, doses=2)
CENTRE = (slice(None), slice(None), *centre_window(PLAN))


@pytest.fixture
def batch(make_case) -> Batch:
    return collate([make_case(i, i % 2, DATASET, PLAN) for i in range(2)], PLAN, DATASET)


def augmented(batch: Batch, params: AugmentationParams) -> Views:
    return apply(batch, params, plan=PLAN, dataset=DATASET)


def drawn(seed: int) -> AugmentationParams:
    return make_params(torch.Generator().manual_seed(seed), 2, plan=PLAN, dataset=DATASET, doses=2)


def assert_equal(a: Views, b: Views) -> None:
    for field in fields(Views):
        torch.testing.assert_close(getattr(a, field.name), getattr(b, field.name), rtol=0, atol=0)


def test_parameters_that_change_nothing_give_exactly_the_centre(batch):
    views = augmented(batch, STILL)
    expected = normalise(batch.image[CENTRE], DATASET, PLAN)
    torch.testing.assert_close(views.image, expected, rtol=0, atol=0)
    torch.testing.assert_close(views.nodes, batch.nodes[CENTRE], rtol=0, atol=0)
    torch.testing.assert_close(views.valid, batch.valid[CENTRE], rtol=0, atol=0)


def test_the_resampled_way_gives_the_centre_too(batch):
    """A turn by a negligible angle takes the path through the resampling grid."""
    views, exact = augmented(batch, replace(STILL, rotation=torch.full((2,), 1e-7))), augmented(batch, STILL)
    torch.testing.assert_close(views.image, exact.image, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(views.nodes, exact.nodes)
    torch.testing.assert_close(views.valid, exact.valid)


def test_a_region_map_moves_against_its_image_and_nothing_else_does(batch):
    shift = torch.tensor([[1.0, -1.0, 0.0], [0.0, 2.0, -1.0]]) * torch.tensor(PLAN.spacing_mm)
    views, still = augmented(batch, replace(STILL, region_shift_mm=shift)), augmented(batch, STILL)
    for b, voxels in enumerate([(1, -1, 0), (0, 2, -1)]):
        moved = batch.nodes[b].roll(voxels, (1, 2, 3))[CENTRE[1:]]
        torch.testing.assert_close(views.nodes[b], moved, rtol=0, atol=0)
    torch.testing.assert_close(views.valid, still.valid, rtol=0, atol=0)
    torch.testing.assert_close(views.image, still.image, atol=1e-4, rtol=1e-4)


def test_half_of_the_region_maps_are_moved_by_half_a_voxel_of_the_localiser_at_most():
    def shifts(enabled):
        plan = replace(PLAN, localiser=replace(PLAN.localiser, enabled=enabled))
        return make_params(torch.Generator().manual_seed(0), 2000, plan=plan, dataset=DATASET, doses=1).region_shift_mm

    assert not shifts(enabled=False).any()
    shift = shifts(enabled=True)
    assert 0.45 < shift.any(1).float().mean() < 0.55
    largest = shift.abs().amax(0) / torch.tensor(PLAN.localiser.spacing_mm)
    assert ((largest > 0.48) & (largest <= 0.5)).all()


def test_the_same_parameters_give_the_same_views_and_leave_the_batch_alone(batch):
    before = {name: value.clone() for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    assert_equal(augmented(batch, drawn(5)), augmented(batch, drawn(5)))
    for name, value in before.items():
        torch.testing.assert_close(getattr(batch, name), value, rtol=0, atol=0)


def test_the_same_generator_draws_the_same_parameters_and_another_one_others():
    a, b, c = drawn(1), drawn(1), drawn(2)
    for field in fields(AugmentationParams):
        torch.testing.assert_close(getattr(a, field.name), getattr(b, field.name), rtol=0, atol=0)
    assert not torch.equal(a.rotation, c.rotation)


def test_parameters_stay_within_the_plan():
    many = make_params(torch.Generator().manual_seed(0), 2000, plan=PLAN, dataset=DATASET, doses=2)
    plan = PLAN.augmentation
    assert many.rotation.abs().max() <= torch.deg2rad(torch.tensor(plan.rotation_degrees))
    assert (many.scale - 1).abs().max() <= plan.scale + 1e-6
    assert many.shift_mm.abs().max() <= plan.shift_mm
    assert not many.mirror[:, :2].any()
    assert 0.4 < many.mirror[:, 2].float().mean() < 0.6
    assert many.dose.min() >= PLAN.dose.range[0] - 1e-6
    assert many.dose.max() <= 1
    assert (many.dose[:, 1] >= many.dose[:, 0]).all()
    assert 0.2 < (many.dose[:, 0] == 1).float().mean() < 0.3


def test_most_samples_are_not_interpolated(batch):
    """They move by whole voxels: every value of the view is one of the stored array's."""
    many = make_params(torch.Generator().manual_seed(0), 2000, plan=PLAN, dataset=DATASET, doses=2)
    still = (many.rotation == 0) & (many.scale == 1)
    assert still.float().mean() == pytest.approx(0.6, abs=0.03)
    voxels = many.shift_mm[still] / torch.tensor(PLAN.spacing_mm)
    torch.testing.assert_close(voxels, voxels.round())
    assert voxels.abs().amax(0).tolist() == [0, 1, 1]  # 3 mm are no whole voxel of 4 mm
    two = voxels[voxels.abs().sum(1) > 0][:2] * torch.tensor(PLAN.spacing_mm)
    views = augmented(batch, replace(STILL, shift_mm=two))
    shown, stored = views.image[:, 0].unique(), normalise(batch.image, DATASET, PLAN)[:, 0].unique()
    assert (shown[:, None] - stored[None]).abs().amin(1).max() < 1e-3


def test_shift_in_mm_moves_by_voxels_of_the_anisotropic_grid(batch):
    shift = torch.tensor([[4.0, 2.0, -4.0]]).repeat(2, 1)  # spacing 4, 2, 2 mm: one, one and minus two voxels
    views = augmented(batch, replace(STILL, shift_mm=shift))
    moved = tuple(slice(s.start + o, s.stop + o) for s, o in zip(centre_window(PLAN), (1, 1, -2), strict=True))
    window = (slice(None), slice(None), *moved)
    torch.testing.assert_close(views.nodes, batch.nodes[window])
    torch.testing.assert_close(views.image, normalise(batch.image[window], DATASET, PLAN), atol=1e-3, rtol=1e-3)


def test_mirroring_is_a_flip_of_the_last_axis(batch):
    mirror = torch.tensor([[False, False, True]]).repeat(2, 1)
    views, still = augmented(batch, replace(STILL, mirror=mirror)), augmented(batch, STILL)
    torch.testing.assert_close(views.nodes, still.nodes.flip(-1))
    torch.testing.assert_close(views.valid, still.valid.flip(-1))
    torch.testing.assert_close(views.image, still.image.flip(-1), atol=1e-3, rtol=1e-3)


def test_a_right_angle_turns_y_into_x(batch):
    views = augmented(batch, replace(STILL, rotation=torch.full((2,), torch.pi / 2)))
    torch.testing.assert_close(views.nodes, augmented(batch, STILL).nodes.rot90(-1, (3, 4)))


@pytest.mark.parametrize("seed", range(3))
def test_nodes_move_with_the_image(batch, seed):
    """An image that is the lesion itself still covers the lesion's node after any change of geometry."""
    lesion = (batch.nodes[:, :1] == 2).float()
    image = torch.cat([lesion * 200, lesion * 10], 1)
    params = replace(drawn(seed), dose=torch.ones(2, 2), hu_shift=torch.zeros(2), region_shift_mm=torch.zeros(2, 3))
    views = augmented(replace(batch, image=image), params)
    shown, node = views.image[:, 0] > 1.0, views.nodes[:, 0] == 2
    assert (shown & node).sum() / (shown | node).sum() > 0.75


def test_dose_one_is_the_full_dose_bit_for_bit(batch):
    dose = torch.tensor([[1.0, 1.0], [0.1, 1.0]])
    views = augmented(batch, replace(STILL, dose=dose))
    full = views.image[:, 0]
    torch.testing.assert_close(views.doses[:, 1], full, rtol=0, atol=0)
    torch.testing.assert_close(views.doses[0, 0], full[0], rtol=0, atol=0)
    assert not torch.equal(views.doses[1, 0], full[1])


def test_less_dose_is_more_noise_and_the_phase_chooses_its_realisation(batch):
    def noise(dose: float, phase: float = 0.0) -> torch.Tensor:
        params = replace(STILL, dose=torch.full((2, 2), dose), phase=torch.full((2, 2), phase))
        views = augmented(batch, params)
        return views.doses[:, 0] - views.image[:, 0]

    assert noise(0.1).std() > 1.5 * noise(0.4).std() > 0
    correlation = torch.corrcoef(torch.stack([noise(0.4).flatten(), noise(0.4, torch.pi / 2).flatten()]))[0, 1]
    assert correlation.abs() < 0.1


def test_no_dose_degradation_shows_full_dose(batch):
    plan = replace(PLAN, dose=replace(PLAN.dose, enabled=False))
    params = make_params(torch.Generator().manual_seed(0), 2, plan=plan, dataset=DATASET, doses=2)
    assert (params.dose == 1).all()
    views = apply(batch, params, plan=plan, dataset=DATASET)
    torch.testing.assert_close(views.doses[:, 0], views.doses[:, 1], rtol=0, atol=0)


def test_hounsfield_shift_moves_every_view_of_the_ct_and_nothing_else(batch):
    views, still = augmented(batch, replace(STILL, hu_shift=torch.full((2,), 10.0))), augmented(batch, STILL)
    torch.testing.assert_close(views.image[:, 0], still.image[:, 0] + 0.1)
    torch.testing.assert_close(views.doses, still.doses + 0.1)
    torch.testing.assert_close(views.image[:, 1], still.image[:, 1])


def test_centred_batches_have_the_patch_size(batch):
    small = centred(batch, PLAN)
    assert small.image.shape[2:] == PLAN.patch_size
    torch.testing.assert_close(small.nodes, batch.nodes[CENTRE])


def test_hidden_channels_never_include_the_base_and_grow_with_the_warm_up():
    present = torch.ones(4000, 3, dtype=torch.bool)
    kept = hide_channels(present, 0.3, torch.Generator().manual_seed(0), whole=(4000, slice(4000)))
    assert kept[:, 0].all()
    assert kept[:, 1:].float().mean() == pytest.approx(0.7, abs=0.02)
    assert present.all()
    assert hiding_probability(0.0, limit=0.3, warmup=0.2) == 0
    assert hiding_probability(0.1, limit=0.3, warmup=0.2) == pytest.approx(0.15)
    assert hiding_probability(0.9, limit=0.3, warmup=0.2) == 0.3
