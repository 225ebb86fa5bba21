"""Options: patterns, names of channels and regions."""

from pathlib import Path

import pytest

from reactkd_auto.dataset_conversion.dicom.choices import fits
from reactkd_auto.errors import UserError
from tests.dataset_conversion.dicom.studies import Options, convert


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lesion": ["a=x", "b=y"], "organ": ["a=z"]}, "regions a, a, b: expected different names"),
        ({"pet": ["CT=*"]}, "channels CT, CT: expected different names"),
        ({"lesion": ["*"]}, "write NAME=PATTERN"),
        ({"mr": ["/x=T1"]}, "write NAME=PATTERN"),
        ({"pet": [f"P{i}=x" for i in range(9)]}, "10 channels, at most 8"),
        ({"classes": ["low", "high", "low"]}, "not unique"),
    ],
)
def test_options_that_make_no_dataset_are_refused(tree: Path, labels: Path, options: Options, words: str) -> None:
    with pytest.raises(UserError, match=words):
        convert(tree, labels, **options)


@pytest.mark.parametrize(
    ("pattern", "text", "fit"),
    [
        ("GTV*", "gtv_1", True),
        ("GTV", "GTV_1", False),
        ("t?", "T1", True),
        ("*[C11]*", "Choline [C11]", True),
        ("*[C11]*", "C", False),
    ],
)
def test_patterns_know_two_wildcards_and_no_capitals(pattern: str, text: str, fit: bool) -> None:
    assert fits(pattern, ["other", text]) is fit
