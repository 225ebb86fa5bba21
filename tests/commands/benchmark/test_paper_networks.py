"""The paper's networks as its sketch states them."""

import torch
from torch import nn

from reactkd_auto.commands.benchmark.paper_networks import PaperStudent, PaperTeacher


def on_meta(network: nn.Module, channels: int, size: tuple[int, int, int]) -> torch.Size:
    return network.to("meta").eval()(torch.empty(2, channels, *size, device="meta")).shape


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_student_has_a_dense_layer_of_25_million_weights_whatever_its_input():
    student = PaperStudent(3)
    assert 25.0e6 < parameters(student.head[0]) < 25.4e6
    for size in ((32, 96, 96), (48, 64, 64)):
        assert on_meta(student, 1, size) == (2, 3)


def test_the_teacher_is_two_swin_transformers_of_8_million_weights_and_answers_with_logits():
    teacher = PaperTeacher(3)
    assert [round(parameters(e) / 1e6) for e in teacher.encoders] == [8, 8]
    assert on_meta(teacher, 2, (32, 96, 96)) == (2, 3)
