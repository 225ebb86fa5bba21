"""Activation checkpointing changes memory, and nothing else."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from reactkd_auto.networks import build_student, build_teachers
from tests.builders import with_opinions
from tests.networks.samples import make_dataset, make_plan, make_sample


def trained(build, *, checkpointing: bool):
    """A network after one forward and backward pass, its loss, and how many bytes the forward pass kept."""
    plan, dataset = replace(make_plan(), checkpointing=checkpointing), make_dataset()
    network, sample, kept = with_opinions(build(plan, dataset)), make_sample(plan, dataset), []

    def keep(tensor):
        kept.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        if build is build_teachers:
            graph = sample.graph(plan, dataset)
            answers = network(sample.image, sample.dose, sample.present, sample.valid, graph)
            loss = answers.fused.logits.square().sum() + answers.structure.node_features.square().sum()
        else:
            answer = network(sample.image[:, :1], sample.present, sample.valid, sample.graph(plan, dataset))
            loss = answer.logits.square().sum() + answer.node_features.square().sum()
    loss.backward()
    return network, loss.item(), sum(kept)


@pytest.mark.parametrize("build", [build_teachers, build_student])
def test_loss_gradients_and_statistics_are_the_same_and_less_is_kept(build):
    plain, loss, kept = trained(build, checkpointing=False)
    thrifty, same_loss, less = trained(build, checkpointing=True)
    assert same_loss == loss
    for (name, a), b in zip(plain.named_parameters(), thrifty.parameters(), strict=True):
        if a.grad is not None:
            torch.testing.assert_close(b.grad, a.grad, msg=name, rtol=1e-5, atol=1e-6)
    for a, b in zip(plain.buffers(), thrifty.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert less < 0.6 * kept


def test_weights_have_the_same_names():
    plan, dataset = make_plan(), make_dataset()
    thrifty = build_teachers(replace(plan, checkpointing=True), dataset)
    assert thrifty.state_dict().keys() == build_teachers(plan, dataset).state_dict().keys()


@pytest.mark.parametrize(("gradients", "twice"), [(False, False), (True, True)])
def test_only_a_backward_pass_runs_anything_twice(gradients, twice):
    def convolutions(checkpointing):
        plan, dataset = replace(make_plan(), checkpointing=checkpointing), make_dataset()
        student, sample, calls = build_student(plan, dataset), make_sample(plan, dataset), []
        for module in student.modules():
            if isinstance(module, nn.Conv3d):
                module.register_forward_hook(lambda *_: calls.append(1))
        with torch.set_grad_enabled(gradients):
            answer = student(sample.image[:, :1], sample.present, sample.valid, sample.graph(plan, dataset))
        if gradients:
            answer.logits.sum().backward()
        return len(calls)

    assert (convolutions(checkpointing=True) > convolutions(checkpointing=False)) == twice
