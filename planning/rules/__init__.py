"""Planning rules: pure functions of the cohort, each returning a value and the reason for it."""
