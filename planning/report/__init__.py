"""The plan report: one page about the cohort and about every decision."""
