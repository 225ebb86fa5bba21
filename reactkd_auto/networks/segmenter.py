"""What an encoder is pretrained with: a light head that segments the regions."""

from __future__ import annotations

import functools
import operator

from torch import Tensor, nn
from torch.nn import functional

from .fusion import Branch


class Segmenter(nn.Module):
    """A branch, and a 1×1×1 convolution at each of its maps, whose logits are upsampled and added.

    No decoder: what is to be learnt shall be learnt by the encoder. (Adding upsampled stages as in the semantic branch
    of Kirillov et al. 2019, arXiv 1901.02446, section 3.1, without its convolutions.)

    Args:
        branch: With one input channel.
        width: Of its maps, E.
        classes: Background and regions.
    """

    def __init__(self, branch: Branch, *, width: int, classes: int) -> None:
        super().__init__()
        self.branch = branch
        self.heads = nn.ModuleList(nn.Conv3d(width, classes, 1) for _ in branch.stages)

    def forward(self, image: Tensor) -> Tensor:
        """Normalised base image [B, 1, z, y, x] → logits [B, classes, z, y, x]."""
        size = tuple(image.shape[2:])
        logits = [
            functional.interpolate(head(features).float(), size=size, mode="trilinear", align_corners=False)
            for head, features in zip(self.heads, self.branch(image), strict=True)
        ]
        return functools.reduce(operator.add, logits)
