"""The table of labels: faults refused, classes ordered, cases named."""

from pathlib import Path

import pytest

from reactkd_auto.dataset import read_dataset, read_labels
from reactkd_auto.errors import UserError
from tests.dataset_conversion.dicom.studies import PATIENTS, convert


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patient\nP1\n", "column 'label' is missing"),
        ("patient,label\n,a\n", "line 2: no patient"),
        ("patient,label\nP1,a\nP1,b\n", "line 3: a patient and study of an earlier row"),
        ("patient,label\nP1,a\nP2,a\n", "labels a, expected at least two"),
        ("patient,case,label\nP1,x,a\nP2,x,b\n", "case 'x' stands in more than one row"),
    ],
)
def test_a_table_with_a_fault_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        convert(tmp_path / "tree", tmp_path / "labels.csv")


def test_classes_may_be_ordered_and_cases_named_by_the_table(tree: Path, labels: Path) -> None:
    lines = [f"{p},{c},{n}" for p, c, n in zip(PATIENTS, ("low", "high", "", "low"), ("w", "x", "y", "z"), strict=True)]
    labels.write_text("\n".join(["patient,label,case", *lines]) + "\n")
    outcome = convert(tree, labels, classes=["low", "high"], ordered=True)
    dataset = read_dataset(outcome.folder)
    assert dataset.classes == ("low", "high")
    assert dataset.classes_ordered
    assert [(r.case, r.label) for r in read_labels(outcome.folder / "labelsTr.csv", dataset.classes)] == [
        ("w", 0),
        ("x", 1),
        ("y", None),
        ("z", 0),
    ]
    with pytest.raises(UserError, match="unknown class 'high'"):
        convert(tree, labels, classes=["low", "medium"])
