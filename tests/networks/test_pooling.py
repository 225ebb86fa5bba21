import numpy as np
import pytest
import torch

from reactkd_auto.networks.pooling import graph_inputs, map_stages, masked_average, masked_moments, pool_nodes
from reactkd_auto.regions.slots import node_slots
from tests.networks.samples import ANISOTROPIC, PLAIN_STEM, make_dataset, make_plan, make_sample


@pytest.mark.parametrize("strides", [ANISOTROPIC, PLAIN_STEM])
def test_soft_masks_are_the_share_of_each_feature_voxel_that_a_node_covers(strides):
    plan, dataset = make_plan(strides=strides, patch=(8, 16, 16), pooled=(0, 2)), make_dataset()
    sample = make_sample(plan, dataset)
    sample.valid[0, 0, :3] = False
    graph = sample.graph(plan, dataset)
    nodes, measured = sample.nodes.numpy(), sample.valid[:, 0].numpy()
    for stage, masks in zip((0, 2), graph.masks, strict=True):
        sz, sy, sx = plan.network.cumulative_stride(stage)
        for slot in node_slots(plan.graph, dataset):
            covered = (nodes[:, slot.layer] == slot.index + 1) & measured
            blocks = covered.reshape(2, 8 // sz, sz, 16 // sy, sy, 16 // sx, sx)
            np.testing.assert_allclose(masks[:, slot.index].numpy(), blocks.mean(axis=(2, 4, 6)), atol=1e-6)


def test_masked_average_equals_a_loop_over_voxels():
    rng = np.random.default_rng(0)
    features, masks = rng.normal(size=(2, 3, 2, 3, 4)), rng.random((2, 5, 2, 3, 4))
    masks[1, 2] = 0
    expected = np.zeros((2, 5, 3))
    for b in range(2):
        for n in range(5):
            total, mass = np.zeros(3), 0.0
            for voxel in np.ndindex(2, 3, 4):
                total += masks[b, n][voxel] * features[b, :, *voxel]
                mass += masks[b, n][voxel]
            expected[b, n] = total / mass if mass else 0
    result = masked_average(torch.from_numpy(features), torch.from_numpy(masks))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_memory_layout_does_not_change_averages():
    features, masks = torch.randn(2, 8, 4, 4, 4), torch.rand(2, 3, 4, 4, 4)
    other = features.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(masked_average(features, masks), masked_average(other, masks))


def test_gradients_of_a_node_stay_inside_its_mask():
    features = torch.randn(1, 4, 3, 3, 3, requires_grad=True)
    masks = torch.zeros(1, 1, 3, 3, 3)
    masks[0, 0, 1] = 0.5
    masked_average(features, masks).sum().backward()
    assert (features.grad[0, :, 1] > 0).all()
    assert (features.grad[0, :, ::2] == 0).all()


def test_a_node_without_measured_volume_becomes_invalid_and_loses_its_edges():
    plan, dataset = make_plan(), make_dataset()
    sample = make_sample(plan, dataset)
    lesion = next(s for s in node_slots(plan.graph, dataset) if s.kind == "lesion")
    where = sample.nodes[0, lesion.layer] == lesion.index + 1
    sample.node_valid[:] = True
    sample.valid[0, 0][where] = False
    graph = sample.graph(plan, dataset)
    assert not graph.node_valid[0, lesion.index]
    assert (graph.geometry[0, lesion.index] == 0).all()
    assert (graph.edges[0, lesion.index] == 0).all()
    assert (graph.edges[0, :, lesion.index] == 0).all()


def test_a_node_marked_invalid_stays_invalid_though_voxels_carry_its_value():
    plan, dataset = make_plan(), make_dataset()
    sample = make_sample(plan, dataset)
    sample.node_valid[:] = False
    assert not sample.graph(plan, dataset).node_valid.any()


def test_node_features_are_the_pooled_stages_side_by_side():
    plan, dataset = make_plan(pooled=(0, 1)), make_dataset()
    graph = make_sample(plan, dataset).graph(plan, dataset)
    maps = [torch.randn(2, 8, *m.shape[2:]) for m in graph.masks]
    pooled = pool_nodes(maps, graph)
    valid = graph.node_valid[:, :, None]
    torch.testing.assert_close(pooled[:, :, :16], masked_moments(maps[0], graph.masks[0]) * valid)
    torch.testing.assert_close(pooled[:, :, 16:], masked_moments(maps[1], graph.masks[1]) * valid)
    assert pooled.shape[2] == 2 * 8 * 2


def test_moments_are_those_of_voxels_weighted_by_what_the_node_covers():
    rng = np.random.default_rng(1)
    features, masks = rng.normal(3, 2, size=(2, 4, 3, 4, 5)), rng.random((2, 3, 3, 4, 5))
    masks[0, 1] = 0
    found = masked_moments(torch.from_numpy(features), torch.from_numpy(masks)).numpy()
    for b, n in np.ndindex(2, 3):
        if not masks[b, n].any():
            assert (found[b, n, :4] == 0).all()
            continue
        for e in range(4):
            mean = np.average(features[b, e], weights=masks[b, n])
            sd = np.sqrt(np.average((features[b, e] - mean) ** 2, weights=masks[b, n]))
            np.testing.assert_allclose(found[b, n, [e, 4 + e]], [mean, sd], rtol=1e-4)


def test_a_uniform_node_has_finite_gradients():
    features = torch.full((1, 2, 2, 2, 2), 5.0, requires_grad=True)
    masked_moments(features, torch.ones(1, 1, 2, 2, 2)).sum().backward()
    assert torch.isfinite(features.grad).all()


def test_the_deepest_stage_is_always_mapped():
    assert map_stages(make_plan(pooled=(0,)).network) == (0, 2)
    assert map_stages(make_plan(pooled=(0, 2)).network) == (0, 2)


def test_a_grid_that_feature_voxels_do_not_tile_is_refused():
    plan, dataset = make_plan(), make_dataset()
    sample = make_sample(plan, dataset)
    with pytest.raises(ValueError, match="not a multiple"):
        graph_inputs(
            sample.nodes[..., :12],
            sample.valid[..., :12],
            sample.node_valid,
            sample.geometry,
            sample.edges,
            plan,
            dataset,
        )
