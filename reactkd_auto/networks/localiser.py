"""The localiser: a small segmentation network that finds the regions on the whole image at coarse spacing."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from reactkd_auto.dataset import Dataset

FILTERS = 8
BLOCKS_DOWN = (1, 1, 1, 1)
BLOCKS_UP = (1, 1, 1)
SLOPE = 0.1
"""Of units below 0. With plain ReLU a thin structure, such as a spine of 2 × 2 voxels, may fall where all units of the
last layer are 0, and is then never learnt."""
BACKGROUND = "background"
LOCALISER_BATCH_SIZE = 2
"""Images that it is trained on at once."""


def localiser_classes(dataset: Dataset) -> tuple[str, ...]:
    """Class names in the order of the localiser's logits: background, then the dataset's regions."""
    return (BACKGROUND, *(region.name for region in dataset.regions))


class Localiser(nn.Module):
    """MONAI's `SegResNet` (Myronenko 2018, arXiv 1810.11654) without its autoencoder, with 8 to 64 filters.

    Args:
        classes: Background + regions.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        from monai.networks.nets import SegResNet

        self.multiple = 2 ** (len(BLOCKS_DOWN) - 1)
        self.network = SegResNet(
            spatial_dims=3,
            init_filters=FILTERS,
            in_channels=1,
            out_channels=classes,
            norm=("group", {"num_groups": FILTERS}),
            act=("leakyrelu", {"negative_slope": SLOPE, "inplace": True}),
            blocks_down=BLOCKS_DOWN,
            blocks_up=BLOCKS_UP,
        )

    def forward(self, image: Tensor) -> Tensor:
        """Normalised base image [B, 1, z, y, x] of any size → logits [B, classes, z, y, x].

        Sizes that cannot be halved often enough are padded by replicated edges, and the logits cropped back.
        """
        size = image.shape[2:]
        missing = [-s % self.multiple for s in size]
        padding = [n for m in reversed(missing) for n in (0, m)]
        if any(padding):
            image = functional.pad(image, padding, mode="replicate")
        logits: Tensor = self.network(image)
        return logits[:, :, : size[0], : size[1], : size[2]]
