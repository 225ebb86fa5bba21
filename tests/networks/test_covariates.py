"""The covariates' branch, and who listens to it."""

from dataclasses import replace

import torch
from torch import nn

from reactkd_auto.dataset import Covariate
from reactkd_auto.networks import CovariateBranch, build_student, build_teachers
from tests.builders import with_opinions
from tests.networks.samples import make_dataset, make_plan, make_sample

COVARIATES = (Covariate("age", "numeric"), Covariate("sex", "categorical", ("female", "male")))
NAN = torch.nan
VALUES = torch.tensor([[60.0, 1.0], [NAN, NAN]])


def decided(network: nn.Module) -> nn.Module:
    """Readouts and covariates' branches that no longer say that nothing is known."""
    for module in with_opinions(network).modules():
        if isinstance(module, CovariateBranch):
            nn.init.normal_(module.logits.weight, generator=torch.Generator().manual_seed(1))
    return network.eval()


def test_numbers_are_standardised_categories_one_hot_and_missing_values_marked():
    branch = CovariateBranch(COVARIATES, 3)
    branch.standardise_by(torch.tensor([[40.0, 0.0], [60.0, 1.0], [NAN, 1.0]]))
    encoded = branch.encode(VALUES)
    assert encoded.tolist() == [[1.0, 0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0, 1.0]]
    assert (branch(VALUES) == 0).all()


def test_one_value_in_all_training_cases_says_nothing():
    branch = CovariateBranch(COVARIATES[:1], 2)
    branch.standardise_by(torch.full((4, 1), 7.0))
    assert branch.encode(torch.tensor([[7.0]])).tolist() == [[0.0, 0.0]]


def test_fused_and_structure_teachers_hear_of_covariates_and_the_dose_teacher_does_not():
    plan, dataset = make_plan(), replace(make_dataset(), covariates=COVARIATES)
    teachers, sample = decided(build_teachers(plan, dataset)), make_sample(plan, dataset)
    graph = sample.graph(plan, dataset)
    inputs = (sample.image, sample.dose, sample.present, sample.valid, graph)
    told, untold = teachers(*inputs, covariates=VALUES), teachers(*inputs)
    for head in ("fused", "structure"):
        a, b = getattr(told, head).logits, getattr(untold, head).logits
        assert not torch.allclose(a[0], b[0])
        torch.testing.assert_close(a[1], b[1], rtol=0, atol=0)  # not told is the same as all missing
    torch.testing.assert_close(told.dose.logits, untold.dose.logits, rtol=0, atol=0)


def test_an_only_teacher_hears_of_them_in_its_fused_answer_alone():
    plan, dataset = replace(make_plan(), structure_function_teacher=False), make_dataset(0)
    dataset = replace(dataset, covariates=COVARIATES)
    teachers, sample = decided(build_teachers(plan, dataset)), make_sample(plan, dataset)
    graph = sample.graph(plan, dataset)
    told = teachers(sample.image, sample.dose, sample.present, sample.valid, graph, covariates=VALUES)
    assert not torch.allclose(told.fused.logits, told.dose.logits)


def test_a_student_listens_by_choice_only():
    plan, dataset = make_plan(), replace(make_dataset(), covariates=COVARIATES)
    sample = make_sample(plan, dataset)
    inputs = (sample.dose, sample.present[:, :1], sample.valid[:, :1], sample.graph(plan, dataset))
    deaf, listening = (decided(build_student(plan, dataset, covariates=c)) for c in (False, True))
    torch.testing.assert_close(deaf(*inputs, covariates=VALUES).logits, deaf(*inputs).logits, rtol=0, atol=0)
    assert not torch.allclose(listening(*inputs, covariates=VALUES).logits[0], listening(*inputs).logits[0])


def test_without_covariates_names_and_initial_weights_are_what_they_were():
    plan, dataset = make_plan(), make_dataset()
    plain, informed = (build_teachers(plan, d).state_dict() for d in (dataset, replace(dataset, covariates=COVARIATES)))
    assert not [name for name in plain if "covariates" in name]
    for name, value in plain.items():
        torch.testing.assert_close(informed[name], value, rtol=0, atol=0)
