import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactkd_auto.dataset import (
    Channel,
    Dataset,
    LabelledCase,
    Region,
    check_safe_name,
    read_dataset,
    read_labels,
    write_dataset,
    write_labels,
)
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import to_plain, write_json

DATASET = Dataset(
    name="Demo",
    channels=(Channel("CT", "ct"), Channel("FDG", "pet_suv")),
    classes=("benign", "malignant"),
    regions=(Region("liver", 1, "organ"), Region("tumour", 2, "lesion")),
)


def test_dataset_survives_a_round_trip(tmp_path):
    write_dataset(tmp_path, DATASET)
    assert read_dataset(tmp_path) == DATASET


def test_roles_are_found():
    assert DATASET.privileged == (1,)
    assert DATASET.region_values("lesion") == (2,)
    assert DATASET.channel_index("FDG") == 1
    with pytest.raises(UserError, match="channel 'MR' is unknown, expected one of CT, FDG"):
        DATASET.channel_index("MR")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": [{"name": "FDG", "role": "pet_suv"}]}, "first channel must have role ct"),
        ({"channels": [{"name": "CT", "role": "xray"}]}, "found 'xray', expected one of 'ct'"),
        ({"channels": [{"name": "A", "role": "ct"}, {"name": "B", "role": "ct"}]}, "exactly one channel"),
        ({"classes": ["benign"]}, "expected at least two"),
        ({"classes": ["a", "a"]}, "not unique"),
        ({"regions": [{"name": "x", "value": 0, "role": "organ"}]}, "1…255"),
        ({"name": "../evil"}, "may hold only"),
        ({"schema_version": 99}, "schema_version 99"),
    ],
)
def test_invalid_dataset_is_refused_by_file_and_reason(tmp_path, change, message):
    write_json(tmp_path / "dataset.json", {**to_plain(DATASET), **change})
    with pytest.raises(UserError, match=r"dataset\.json") as error:
        read_dataset(tmp_path)
    assert message in str(error.value)


def test_labels_survive_a_round_trip_with_ungraded_cases(tmp_path):
    cases = [LabelledCase("c1", "p1", 0), LabelledCase("c2", "p1", None), LabelledCase("c3", "p2", 1)]
    write_labels(tmp_path / "labels.csv", cases, DATASET.classes)
    assert read_labels(tmp_path / "labels.csv", DATASET.classes) == cases


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,patient\na,b\n", "column 'label' is missing"),
        ("case,patient,label\n", "no rows"),
        ("case,patient,label\na,b,maybe\n", "line 2: unknown class 'maybe', expected benign, malignant or empty"),
        ("case,patient,label\na,b,\na,c,\n", "case 'a' stands in more than one row"),
        ("case,patient,label\n../../etc,b,\n", "may hold only"),
    ],
)
def test_bad_label_table_is_one_sentence(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError) as error:
        read_labels(tmp_path / "labels.csv", DATASET.classes)
    assert "labels.csv" in str(error.value)
    assert message in str(error.value)


def test_patient_defaults_to_the_case(tmp_path):
    (tmp_path / "labels.csv").write_text("case,label\na,benign\n")
    assert read_labels(tmp_path / "labels.csv", DATASET.classes) == [LabelledCase("a", "a", 0)]


@given(st.text())
def test_no_accepted_name_leaves_its_folder(tmp_path_factory, name):
    try:
        check_safe_name(name, "case")
    except ValueError:
        return
    folder = tmp_path_factory.getbasetemp()
    assert (folder / f"{name}.json").resolve().parent == folder.resolve()


def test_sites_survive_a_label_table_and_are_left_out_where_there_are_none(tmp_path):
    cases = [LabelledCase("a", "p", 0, "North, main"), LabelledCase("b", "q", None)]
    write_labels(tmp_path / "labels.csv", cases, DATASET.classes)
    assert read_labels(tmp_path / "labels.csv", DATASET.classes) == cases
    write_labels(tmp_path / "labels.csv", cases[1:], DATASET.classes)
    assert (tmp_path / "labels.csv").read_text() == "case,patient,label\nb,q,\n"
