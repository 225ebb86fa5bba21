"""Updates of low rank: where they begin, what is trained, and what is left of them when weights are saved."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from reactkd_auto.networks import build_student, load_state, load_weights
from reactkd_auto.networks.encoder import SegResEncoder
from reactkd_auto.plan import EncoderPlan
from reactkd_auto.training import pretrain, train
from reactkd_auto.training.command import main
from reactkd_auto.training.lora import ALPHA, UpdatedConvolution, add_updates, merged

RANK = 3


@pytest.fixture
def encoder() -> SegResEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return SegResEncoder(1, EncoderPlan(8, (1, 2)), ((1, 2, 2), (2, 2, 2)))


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(2, 1, 8, 16, 16, generator=torch.Generator().manual_seed(2))


def with_updates(encoder: nn.Module) -> nn.Module:
    changed = merged(encoder)  # a copy
    add_updates(changed, set(encoder.state_dict()), rank=RANK, seed=0)
    return changed


def step(encoder: nn.Module, image: torch.Tensor) -> None:
    optimiser = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    sum(f.square().mean() for f in encoder(image)).backward()
    optimiser.step()


def kernels(encoder: nn.Module) -> dict[str, nn.Module]:
    """Convolutions, updated or not, by their name in a plain encoder."""
    updated = {n: m for n, m in encoder.named_modules() if isinstance(m, UpdatedConvolution)}
    plain = {n: m for n, m in encoder.named_modules() if isinstance(m, nn.Conv3d)}
    return updated or plain


def test_training_begins_at_the_pretrained_function(encoder, image):
    for a, b in zip(encoder(image), with_updates(encoder)(image), strict=True):
        assert torch.equal(a, b)


def test_only_updates_and_norms_are_trained(encoder, image):
    changed = with_updates(encoder)
    step(changed, image)
    step(changed, image)  # a has no gradient while b is 0
    norms = {id(p) for m in changed.modules() if isinstance(m, nn.GroupNorm) for p in m.parameters()}
    for name, parameter in changed.named_parameters():
        learnt = name.endswith((".a", ".b")) or id(parameter) in norms
        assert parameter.requires_grad == learnt, name
        assert (parameter.grad is not None) == learnt, name
    kept = {n: m.convolution.weight for n, m in kernels(changed).items()}
    assert all(torch.equal(kept[n], m.weight) for n, m in kernels(encoder).items())


def test_an_update_is_the_scaled_product_of_its_factors_and_of_no_higher_rank(encoder, image):
    changed = with_updates(encoder)
    step(changed, image)
    step(changed, image)
    for name, before in kernels(encoder).items():
        update = kernels(changed)[name]
        difference = (update.kernel() - before.weight).flatten(1)
        torch.testing.assert_close(difference, ALPHA / RANK * update.b @ update.a, atol=1e-6, rtol=1e-4)
        values = torch.linalg.svdvals(difference.double())
        assert values[0] > 0
        assert (values[RANK:] < 1e-5 * values[0] + 1e-7).all()


def test_merged_weights_answer_the_same_and_are_those_of_a_plain_encoder(encoder, image):
    changed = with_updates(encoder)
    step(changed, image)
    step(changed, image)
    plain = merged(changed)
    assert plain.state_dict().keys() == encoder.state_dict().keys()
    for a, b, before in zip(changed(image), plain(image), encoder(image), strict=True):
        torch.testing.assert_close(a, b)
        assert not torch.allclose(a, before)
    assert all(isinstance(m, UpdatedConvolution) for m in kernels(changed).values())  # merged is a copy


def test_a_convolution_that_was_not_pretrained_is_trained_in_full(encoder):
    add_updates(encoder, set(encoder.state_dict()) - {"stem.0.weight"}, rank=RANK, seed=0)
    assert type(encoder.stem[0]) is nn.Conv3d
    assert encoder.stem[0].weight.requires_grad


def test_updates_are_the_same_for_the_same_seed_and_leave_the_global_random_state_alone(encoder):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = with_updates(encoder), with_updates(encoder)
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def _only_training(monkeypatch):
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)
    monkeypatch.setattr("reactkd_auto.training.validation.evaluate", lambda *_, **__: None)


@pytest.mark.usefixtures("_only_training")
def test_a_fold_is_trained_resumed_and_saved_as_plain_weights(make_cohort, monkeypatch):
    from reactkd_auto.training import student_stage

    cohort = make_cohort(tracers=0)
    options = {"workspace": cohort.workspace, "device": "cpu", "quiet": True}
    folder = pretrain(**options)
    options |= {"pretrained": folder, "lora_rank": 2}
    before, calls = student_stage.StudentTask.step, []

    def broken(self, inputs):
        calls.append(1)
        if len(calls) == 4:  # of the second epoch
            raise KeyboardInterrupt
        return before(self, inputs)

    with monkeypatch.context() as patch:
        patch.setattr(student_stage.StudentTask, "step", broken)
        with pytest.raises(KeyboardInterrupt):
            train(0, **options)
    model = train(0, **options)
    assert model.path.name == "auto_pretrained_lora2_seed0"
    teachers = cohort.results / "teachers" / "auto_pretrained_lora2_seed0" / "without_0"
    assert json.loads((teachers / "settings.json").read_text())["LoRA rank"] == 2
    student = build_student(cohort.plan, cohort.dataset)
    load_weights(model.student_weights(0), student)
    parameters = sum(p.numel() for p in student.parameters())
    assert json.loads((model.fold(0) / "networks.json").read_text())["student"]["parameters"] == parameters
    pretrained = load_state(folder / "student_encoder.safetensors")
    for name, convolution in kernels(student.branch.encoder).items():
        difference = (convolution.weight - pretrained[f"{name}.weight"]).detach().flatten(1)
        values = torch.linalg.svdvals(difference.double())
        assert values[0] > 0
        assert (values[2:] < 1e-4 * values[0] + 1e-6).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lora_rank", "4"], "--lora_rank 4: found no --pretrained, expected encoders that it can update."),
        (["--lora_rank", "0", "--pretrained", "x"], "--lora_rank 0: expected at least 1."),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(make_cohort, capsys, arguments, sentence):
    assert main(["0", "-w", str(make_cohort().workspace), "--device", "cpu", *arguments]) == 2
    assert sentence in capsys.readouterr().err
