"""From a raw case to what a network sees: the same functions at planning and at prediction.

`batch` and `normalise` need torch and are imported from their own modules.
"""

from .case import preprocess_case
from .coarse import coarse_case, coarse_grid
from .grid import Grid
from .noise import NoiseSource, StoredNoise

__all__ = ["Grid", "NoiseSource", "StoredNoise", "coarse_case", "coarse_grid", "preprocess_case"]
