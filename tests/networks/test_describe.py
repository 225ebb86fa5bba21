import pytest
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reactkd_auto.networks import build_localiser, build_student, build_teachers, describe
from reactkd_auto.networks.thin_convolution import ThinConv3d
from tests.networks.samples import make_dataset, make_plan, make_sample

BUILDERS = {
    "teachers": build_teachers,
    "student": build_student,
    "multi": lambda plan, dataset: build_student(plan, dataset, ("ct", "pet1")),
    "localiser": build_localiser,
}


@pytest.mark.parametrize("name", BUILDERS)
def test_parts_add_up_to_all_parameters(name):
    plan, dataset = make_plan(), make_dataset()
    network = BUILDERS[name](plan, dataset)
    counts = describe(network, plan, dataset)
    assert counts["parameters"] == sum(p.numel() for p in network.parameters())
    assert counts["parameters"] == sum(part["parameters"] for part in counts["parts"].values())
    assert 0 < sum(part["flops"] for part in counts["parts"].values()) <= counts["flops"]


def test_flops_are_those_of_a_real_forward_pass_of_one_sample(monkeypatch):
    monkeypatch.setattr(ThinConv3d, "forward", nn.Conv3d.forward)  # a CPU's way adds margins, which are not counted
    plan, dataset = make_plan(), make_dataset()
    teachers, sample = build_teachers(plan, dataset), make_sample(plan, dataset, batch=1)
    with FlopCounterMode(display=False) as counter:
        teachers(sample.image, sample.dose, sample.present, sample.valid, sample.graph(plan, dataset))
    assert describe(teachers, plan, dataset)["flops"] == counter.get_total_flops()


def test_flops_of_a_convolution_grow_with_the_patch():
    small, large, dataset = make_plan(), make_plan(patch=(32, 16, 16)), make_dataset()
    branch = [describe(build_student(p, dataset), p, dataset)["parts"]["branch"]["flops"] for p in (small, large)]
    assert branch[1] == 2 * branch[0]
