"""Faults of a label table that only some datasets can have."""

from reactkd_auto.dataset import Channel, Covariate, Dataset
from reactkd_auto.dataset_conversion.label_tables import check_labels

COVARIATES = (Covariate("age", "numeric"), Covariate("sex", "categorical", ("female", "male")))
DATASET = Dataset("Test", (Channel("CT", "ct"),), ("low", "high"), covariates=COVARIATES)


def faults(folder, text: str, *, training: bool = True) -> list[tuple[str, str]]:
    path = folder / "labelsTr.csv"
    path.write_text(text, encoding="utf-8")
    return [(problem.found, problem.expected) for problem in check_labels(path, DATASET, training=training)[1]]


def test_every_covariate_that_cannot_be_read_is_named_and_empty_cells_are_normal(tmp_path):
    table = "case,label,age,sex\na,low,61,male\nb,high,,\nc,low,old,m\n"
    assert faults(tmp_path, table) == [
        ("age 'old'", "a number, or empty"),
        ("sex 'm'", "one of female, male, or empty"),
    ]


def test_a_missing_column_of_a_covariate_is_a_fault_of_the_training_part_alone(tmp_path):
    table = "case,label,sex\na,low,male\n"
    assert faults(tmp_path, table) == [
        ("column 'age' is missing (found case, label, sex)", "a CSV with columns case, label, age, sex")
    ]
    assert faults(tmp_path, table, training=False) == []
