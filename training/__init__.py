"""Dual-teacher training and region-graph distillation: plan and preprocessed cases in, a model folder out."""

from reactkd_auto.training.api import train
from reactkd_auto.training.pretrain import pretrain

__all__ = ["pretrain", "train"]
