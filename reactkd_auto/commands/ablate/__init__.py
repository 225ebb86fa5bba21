"""`reactkd_ablate`: recipes × seeds × folds as resumable trainings, and one table that compares them."""

from .api import ablate

__all__ = ["ablate"]
