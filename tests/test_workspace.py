import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path):
    for name in ("Dataset001_A", "Dataset007_B", "notes"):
        (tmp_path / "raw" / name).mkdir(parents=True)
    return Workspace(tmp_path)


@pytest.mark.parametrize("wanted", ["7", "007", "B", "Dataset007_B"])
def test_dataset_is_found_by_id_name_and_folder(workspace, wanted):
    assert workspace.find_dataset(wanted) == "Dataset007_B"


def test_choice_between_several_is_the_users(workspace):
    with pytest.raises(UserError, match="2 datasets could be meant.*Dataset001_A, Dataset007_B"):
        workspace.find_dataset(None)


def test_unknown_dataset_lists_what_is_there(workspace):
    with pytest.raises(UserError, match="no dataset fit 'C'"):
        workspace.find_dataset("C")


def test_empty_workspace_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="convert one first"):
        Workspace(tmp_path).find_dataset(None)


def test_new_dataset_takes_the_next_free_number_and_never_anothers(workspace):
    assert workspace.new_dataset_folder("C", None) == "Dataset008_C"
    assert workspace.new_dataset_folder("B", None) == "Dataset007_B"
    assert workspace.new_dataset_folder("C", 2) == "Dataset002_C"
    with pytest.raises(UserError, match="number 7 is taken by Dataset007_B"):
        workspace.new_dataset_folder("C", 7)
    with pytest.raises(UserError, match="expected 1…999"):
        workspace.new_dataset_folder("C", 0)


def test_option_beats_environment_beats_default(tmp_path, monkeypatch):
    monkeypatch.setenv("REACTKD_WORKSPACE", str(tmp_path / "env"))
    assert open_workspace(tmp_path / "option").root == tmp_path / "option"
    assert open_workspace(None).root == tmp_path / "env"
    monkeypatch.delenv("REACTKD_WORKSPACE")
    assert str(open_workspace(None).root) == "reactkd_workspace"
