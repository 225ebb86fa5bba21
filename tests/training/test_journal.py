"""Log line, table and picture of a stage."""

import logging

from PIL import Image

from reactkd_auto.training.journal import Journal

HISTORY = [
    {"epoch": 1.0, "loss": 1.25, "labels": 0.5, "learning_rate": 1e-3, "seconds": 30.0, "waiting_seconds": 0.5},
    {"epoch": 2.0, "loss": 1.0, "labels": 0.25, "learning_rate": 5e-4, "seconds": 20.0, "waiting_seconds": 0.5,
     "held_out_auc_student": 0.75},
]  # fmt: skip


def test_a_journal_writes_table_picture_and_one_line_with_the_time_left(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        Journal(tmp_path, title="fold 0, student", epochs=4).record(HISTORY)
    assert caplog.messages == [
        "fold 0, student, epoch 2/4: loss 1.0000 (labels 0.250), held-out AUC student 0.750, lr 5.00e-04, "
        "20.0 s, 0:00:50 left"
    ]
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "epoch,loss,labels,learning_rate,seconds,waiting_seconds,held_out_auc_student",
        "1,1.25,0.5,0.001,30,0.5,",
        "2,1,0.25,0.0005,20,0.5,0.75",
    ]
    with Image.open(tmp_path / "progress.png") as picture:
        assert picture.width > 800
        assert len(picture.convert("L").getcolors()) > 20


def test_a_stage_without_anything_watched_is_drawn_too(tmp_path):
    Journal(tmp_path, title="t", epochs=1).record(HISTORY[:1])
    assert (tmp_path / "progress.png").exists()
