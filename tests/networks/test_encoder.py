import pytest
import torch

from reactkd_auto.networks.encoder import ENCODERS
from reactkd_auto.plan import EncoderPlan
from tests.networks.samples import ANISOTROPIC, ISOTROPIC, PLAIN_STEM, make_plan


@pytest.mark.parametrize("strides", [ISOTROPIC, ANISOTROPIC, PLAIN_STEM, ((1, 2, 2), (1, 1, 2), (2, 2, 1))])
def test_every_stage_has_the_planned_stride_and_channels(strides):
    plan = make_plan(strides=strides, patch=(8, 16, 16))
    encoder = ENCODERS["segres"](2, EncoderPlan(8, (1, 2, 1)), strides)
    features = encoder(torch.zeros(1, 2, *plan.patch_size))
    assert encoder.channels == (8, 16, 32)
    for stage, feature in enumerate(features):
        stride = plan.network.cumulative_stride(stage)
        assert feature.shape == (1, 8 * 2**stage, 8 // stride[0], 16 // stride[1], 16 // stride[2])


def test_a_case_is_encoded_the_same_whatever_its_batch():
    torch.manual_seed(0)
    encoder = ENCODERS["segres"](1, EncoderPlan(8, (1, 1, 1)), ISOTROPIC)
    images = torch.randn(3, 1, 16, 16, 16)
    together = encoder(images)[-1][1:2]
    alone = encoder(images[1:2])[-1]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_strided_stem_looks_at_every_voxel():
    torch.manual_seed(0)
    encoder = ENCODERS["segres"](1, EncoderPlan(8, (1, 1)), ((4, 2, 2), (1, 2, 2)))
    image = torch.randn(1, 1, 16, 16, 16, requires_grad=True)
    encoder(image)[0].square().sum().backward()
    assert (image.grad != 0).all()


def test_block_counts_and_strides_must_agree():
    with pytest.raises(ValueError, match="2 block counts for 3 stages"):
        ENCODERS["segres"](1, EncoderPlan(8, (1, 1)), ISOTROPIC)
