"""The tiny cohort that training's own tests use."""

from tests.training.conftest import make_case, make_cohort, make_properties, written_cohorts

__all__ = ["make_case", "make_cohort", "make_properties", "written_cohorts"]
