import pytest
import torch

from reactkd_auto.errors import UserError
from reactkd_auto.networks import build_student, build_teachers, load_weights, save_weights
from tests.networks.samples import make_dataset, make_plan


@pytest.mark.parametrize("channels_last", [False, True])
def test_weights_come_back_as_they_were(tmp_path, channels_last):
    plan, dataset = make_plan(), make_dataset()
    for build in (build_student, build_teachers):
        saved, loaded = build(plan, dataset, seed=1, channels_last=channels_last), build(plan, dataset, seed=2)
        save_weights(tmp_path / "w.safetensors", saved)
        load_weights(tmp_path / "w.safetensors", loaded)
        for name, tensor in saved.state_dict().items():
            assert torch.equal(tensor, loaded.state_dict()[name])


def test_the_same_weights_give_the_same_file(tmp_path):
    for name in ("a", "b"):
        save_weights(tmp_path / name, build_student(make_plan(), make_dataset(), seed=3))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_truncated_file_is_named(tmp_path):
    student, path = build_student(make_plan(), make_dataset()), tmp_path / "student.safetensors"
    save_weights(path, student)
    whole = path.read_bytes()
    for size in (0, 5, 200, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"student\.safetensors: not readable"):
            load_weights(path, student)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.safetensors: file not found"):
        load_weights(tmp_path / "none.safetensors", build_student(make_plan(), make_dataset()))


def test_weights_of_another_network_are_refused_and_change_nothing(tmp_path):
    plan, dataset, path = make_plan(), make_dataset(), tmp_path / "w.safetensors"
    student = build_student(plan, dataset)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    for other, message in (
        (build_teachers(plan, dataset), "are missing"),
        (build_student(plan, dataset, ("ct", "pet0")), "unknown weights 'presence.tokens'"),
        (build_student(make_plan(student_width=16), dataset), "have shape"),
    ):
        save_weights(path, other)
        with pytest.raises(UserError, match=message):
            load_weights(path, student)
    assert all(torch.equal(before[name], tensor) for name, tensor in student.state_dict().items())
