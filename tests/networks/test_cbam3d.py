import torch

from reactkd_auto.networks.cbam3d import CBAM3D


def make() -> CBAM3D:
    torch.manual_seed(0)
    return CBAM3D(8, kernel_size=3)


def test_attention_follows_the_equations_of_the_paper():
    cbam, x = make(), torch.randn(2, 8, 4, 5, 6)
    first, _, second = cbam.channel

    def mlp(v):
        return torch.relu(v @ first.weight.T + first.bias) @ second.weight.T + second.bias

    flat = x.flatten(2)
    channel = torch.sigmoid(mlp(flat.mean(2)) + mlp(flat.max(2).values))
    refined = x * channel[:, :, None, None, None]
    stacked = torch.stack([refined.mean(1), refined.max(1).values], dim=1)
    spatial = torch.sigmoid(torch.conv3d(stacked, cbam.spatial.weight, cbam.spatial.bias, padding=1))
    attended, attention = cbam(x)
    torch.testing.assert_close(attention, spatial)
    torch.testing.assert_close(attended, refined * spatial)


def test_all_voxels_measured_equals_no_weight():
    cbam, x = make(), torch.randn(2, 8, 4, 5, 6)
    weighted, plain = cbam(x, torch.ones(2, 1, 4, 5, 6)), cbam(x)
    torch.testing.assert_close(weighted[0], plain[0])
    torch.testing.assert_close(weighted[1], plain[1])


def test_unmeasured_voxels_do_not_change_the_measured_ones():
    cbam, x = make(), torch.randn(1, 8, 4, 5, 6)
    weight = torch.ones(1, 1, 4, 5, 6)
    weight[..., 4:] = 0
    changed = x.clone()
    changed[..., 4:] = 100
    a, b = cbam(x, weight)[0], cbam(changed, weight)[0]
    torch.testing.assert_close(a[..., :4], b[..., :4])
    assert not torch.allclose(cbam(x)[0][..., :4], cbam(changed)[0][..., :4])


def test_nothing_measured_stays_finite():
    cbam, x = make(), torch.randn(1, 8, 4, 5, 6)
    attended, attention = cbam(x, torch.zeros(1, 1, 4, 5, 6))
    assert attended.isfinite().all()
    assert attention.isfinite().all()
