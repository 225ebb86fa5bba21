"""`reactkd_benchmark`: how fast, against what, on this machine; one file a subject."""
