"""Covariates from a table, and back."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactkd_auto.covariates import FILE, read_covariates, write_covariates
from reactkd_auto.dataset import Covariate
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import from_plain

AGE, SEX = Covariate("age", "numeric"), Covariate("sex", "categorical", ("female", "male"))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def written(folder, text: str):
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return folder / "t.csv"


def test_values_are_numbers_or_places_in_the_categories_and_an_empty_cell_is_missing(tmp_path):
    table = written(tmp_path, "case,label,sex,age\na,x,male, 61.5 \nb,,,\n")
    found = read_covariates(table, (AGE, SEX))
    assert found["a"] == (61.5, 1.0)
    assert all(math.isnan(v) for v in found["b"])


@given(rows=st.lists(st.tuples(NUMBERS | st.none(), st.sampled_from([0.0, 1.0, None])), min_size=1, max_size=5))
def test_what_is_written_is_read(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("t")
    values = {f"case{i}": tuple(math.nan if v is None else v for v in row) for i, row in enumerate(rows)}
    write_covariates(folder, values, (AGE, SEX))
    again = read_covariates(folder / FILE, (AGE, SEX))
    assert {case: [repr(v) for v in row] for case, row in again.items()} == {
        case: [repr(v) for v in row] for case, row in values.items()
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,age\na,1\n", "column 'sex' is missing (found case, age), expected a CSV with columns case, age, sex"),
        ("case,age,sex\na,old,male\n", "line 2: age 'old', expected a number, or empty"),
        ("case,age,sex\na,inf,male\n", "line 2: age 'inf', expected a number, or empty"),
        ("case,age,sex\na,1,m\n", "line 2: sex 'm', expected one of female, male, or empty"),
        ("case,age,sex\na,1,\na,2,\n", "case 'a' stands in more than one row"),
    ],
)
def test_a_faulty_table_is_one_sentence(tmp_path, text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        read_covariates(written(tmp_path, text), (AGE, SEX))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"name": "label", "kind": "numeric"}, "expected another column"),
        ({"name": "age", "kind": "numeric", "categories": ["a", "b"]}, "has categories, expected none"),
        ({"name": "sex", "kind": "categorical"}, "expected two or more different categories"),
        ({"name": "sex", "kind": "categorical", "categories": ["a", "a"]}, "expected two or more different categories"),
    ],
)
def test_a_covariate_that_contradicts_itself_is_refused(document, message):
    with pytest.raises(UserError, match=message):
        from_plain(Covariate, document, where="dataset.json")
