"""Region maps for cases that nobody drew: organs by TotalSegmentator, or supervoxels of the body."""
