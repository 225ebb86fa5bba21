"""The whole evaluation from files to files."""

import csv
import json
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.evaluation.metrics import Evaluation
from reactkd_auto.evaluation.run import evaluate
from reactkd_auto.evaluation.tables import read_joined, read_predictions
from reactkd_auto.jsonio import read_document

PREDICTIONS = """\
case,status,predicted_class,p_benign,p_malignant,reason
001,classified,benign,0.9,0.1,
002,classified,malignant,0.3,0.7,
003,classified,benign,0.6,0.4,
004,classified,malignant,0.2,0.8,
005,classified,malignant,0.45,0.55,
006,not classified,,,,no lesion region was found
007,classified,benign,0.7,0.3,
"""
LABELS = """\
case,patient,label
001,A,benign
002,B,malignant
003,C,malignant
004,D,malignant
005,E,benign
006,F,benign
007,G,
008,H,benign
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "predictions.csv").write_text(PREDICTIONS, encoding="utf-8")
    (tmp_path / "labels.csv").write_text(LABELS, encoding="utf-8")
    return tmp_path / "predictions.csv", tmp_path / "labels.csv", tmp_path / "out"


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href", "data")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_file_is_written_and_says_the_same(files):
    e = evaluate(*files)
    out = files[2]
    names = {"metrics.json", "metrics.csv", "evaluation.html"}
    names |= {f"{n}.{x}" for n in ("roc", "confusion_matrix", "calibration", "decisions") for x in ("svg", "png")}
    assert {p.name for p in out.iterdir()} == names
    assert (e.n_cases, e.n_not_classified, e.n_ungraded, e.n_without_prediction) == (5, 1, 1, 1)
    assert e.macro_auc.value == pytest.approx(5 / 6)
    assert read_document(Evaluation, out / "metrics.json") == e
    rows = list(csv.DictReader((out / "metrics.csv").open(encoding="utf-8")))
    areas = [r for r in rows if r["metric"] == "macro_auc"]
    assert float(areas[0]["value"]) == pytest.approx(5 / 6, abs=1e-5)
    assert f"{e.macro_auc.value:.2f}" in (out / "evaluation.html").read_text(encoding="utf-8")


def test_page_is_well_formed_asks_no_network_and_names_the_unanswered_case(files):
    evaluate(*files)
    text = (files[2] / "evaluation.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert all(link.startswith("#") for link in page.links)
    assert "url(http" not in text
    assert text.count("<svg") == 4
    assert "no lesion region was found" in text
    assert str(files[0].parent) not in text


def test_pictures_are_whole_and_the_same_twice(files):
    evaluate(*files)
    first = {p.name: p.read_bytes() for p in files[2].iterdir()}
    evaluate(*files)
    assert first == {p.name: p.read_bytes() for p in files[2].iterdir()}
    for name in ("roc", "confusion_matrix", "calibration"):
        ElementTree.fromstring(first[f"{name}.svg"])
        assert first[f"{name}.png"].startswith(b"\x89PNG")


def test_names_that_look_like_markup_do_no_harm(files):
    for path in files[:2]:
        path.write_text(path.read_text().replace("malignant", "<b>$x_$&"), encoding="utf-8")
    evaluate(*files)
    text = (files[2] / "evaluation.html").read_text(encoding="utf-8")
    assert "<b>$x_$&" not in text
    assert "&lt;b&gt;$x_$&amp;" in text


def test_nothing_classified_still_writes_a_page_and_removes_stale_pictures(files):
    evaluate(*files)
    lines = PREDICTIONS.splitlines()
    rows = [f"{line.split(',')[0]},not classified,,,,no region" for line in lines[1:]]
    files[0].write_text("\n".join([lines[0], *rows]), encoding="utf-8")
    e = evaluate(*files)
    assert e.n_cases == 0
    assert {p.name for p in files[2].iterdir()} == {"metrics.json", "metrics.csv", "evaluation.html"}
    assert json.loads((files[2] / "metrics.json").read_text())["macro_auc"]["value"] is None


def test_dataset_json_orders_the_classes(files, tmp_path):
    from reactkd_auto.dataset import Channel, Dataset, write_dataset

    dataset = Dataset("Demo", (Channel("CT", "ct"),), ("malignant", "benign"), classes_ordered=True)
    write_dataset(tmp_path, dataset)
    e = evaluate(*files, dataset_json=tmp_path / "dataset.json")
    assert e.classes == ("malignant", "benign")
    assert e.quadratic_kappa.value is not None
    assert evaluate(*files).quadratic_kappa.value is None


def test_case_names_stay_texts_and_patients_default_to_cases(files):
    files[1].write_text("case,label\n001,benign\n002,malignant\n", encoding="utf-8")
    joined = read_joined(*files[:2])
    assert list(joined.table["case"][:2]) == ["001", "002"]
    assert list(joined.table["patient"][:2]) == ["001", "002"]


def test_a_class_called_none_is_a_class(files):
    files[0].write_text("case,status,predicted_class,p_None,p_NA\na,classified,None,0.7,0.3\n", encoding="utf-8")
    rows, classes = read_predictions(files[0])
    assert classes == ("None", "NA")
    assert rows["predicted_class"][0] == "None"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("status,", "state,", "column 'status' is missing (found case, state"),
        ("p_malignant", "malignant", "1 columns of probabilities"),
        ("002,classified,malignant", "002,classified,evil", "line 3: predicted class 'evil'"),
        ("002,classified", "002,done", "line 3: status 'done'"),
        ("002,", "001,", "line 3: case '001' stands in more than one row"),
        ("002,", ",", "line 3: empty case name"),
        ("0.3,0.7", "0.3,high", "line 3: p_malignant is 'high'"),
        ("0.3,0.7", "0.3,nan", "line 3: p_malignant is 'nan'"),
        ("0.3,0.7", "-0.3,1.3", "line 3: p_benign is '-0.3'"),
        ("0.3,0.7", "0.3,0.3", "line 3: the probabilities of case '002' sum to 0.6"),
        (PREDICTIONS, "", "empty"),
        (PREDICTIONS, "case,status,predicted_class,p_a,p_b\n", "no rows"),
    ],
)
def test_bad_predictions_are_named_with_file_and_line(files, old, new, message):
    files[0].write_text(PREDICTIONS.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        evaluate(*files)
    assert message in str(caught.value)
    assert "predictions.csv" in str(caught.value)
    assert not files[2].exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label\n", "grade\n", "column 'label' is missing"),
        ("002,B,malignant", "002,B,evil", "'evil'"),
        ("002,B", "001,B", "'001' stands in more than one row"),
        (LABELS, "case,label\nx1,benign\n", "expected the same case names"),
        (LABELS, "case,label\n001,\n", "no case has a label"),
        (LABELS, "case,label\n", "no rows"),
    ],
)
def test_bad_labels_are_named(files, old, new, message):
    files[1].write_text(LABELS.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        evaluate(*files)
    assert message in str(caught.value)
    assert "labels.csv" in str(caught.value)


def test_binary_files_folders_and_an_output_that_is_a_file_are_users_mistakes(files):
    predictions, labels, out = files
    with pytest.raises(UserError, match="not readable"):
        evaluate(predictions, labels.parent, out)
    with pytest.raises(UserError, match="not readable"):
        evaluate(labels.parent, labels, out)
    with pytest.raises(UserError, match="not a folder"):
        evaluate(predictions, labels, labels)
    predictions.write_bytes(b"\xff\xfe\x00\x01" * 20)
    with pytest.raises(UserError, match="not readable"):
        evaluate(predictions, labels, out)


def test_further_columns_are_subgroups_and_other_predictions_are_compared_case_by_case(files, tmp_path):
    predictions, labels, out = files
    sexes = dict(zip("ABCDEFGH", "fmfmmfff", strict=True))
    rows = labels.read_text(encoding="utf-8").splitlines()
    labels.write_text("\n".join([rows[0] + ",sex", *(r + "," + sexes[r.split(",")[1]] for r in rows[1:])]))
    worse = tmp_path / "worse.csv"
    worse.write_text(PREDICTIONS.replace("0.3,0.7", "0.9,0.1"), encoding="utf-8")
    e = evaluate(predictions, labels, out, against=worse)
    assert [(g.group, g.n_cases) for g in e.subgroups] == [("f", 2), ("m", 3)]
    assert e.comparison.n_cases == 5
    assert e.comparison.difference.value == pytest.approx(e.macro_auc.value - e.comparison.auc_b)
    assert e.comparison.difference.value > 0
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert "Compared with worse.csv" in page
    assert "Subgroups" in page
    rows = [r["metric"] for r in csv.DictReader((out / "metrics.csv").open(encoding="utf-8"))]
    assert {"macro_auc difference", "macro_auc where sex f", "net_benefit at 0.50"} <= set(rows)


def test_other_predictions_must_be_of_the_same_classes(files, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("case,status,predicted_class,p_malignant,p_benign\n001,classified,benign,0.1,0.9\n")
    with pytest.raises(UserError, match=r"other\.csv: probabilities of malignant, benign, expected benign, malignant"):
        evaluate(*files, against=other)


def test_notices_stand_on_the_page(files):
    evaluate(*files, notices=["Not expected to help, AUC < 0.6."])
    assert "Not expected to help, AUC &lt; 0.6." in (files[2] / "evaluation.html").read_text()
