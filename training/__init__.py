"""Dual-teacher training and region-graph distillation: plan and preprocessed cases in, a model folder out."""

from reactkd_auto.training.api import train

__all__ = ["train"]
