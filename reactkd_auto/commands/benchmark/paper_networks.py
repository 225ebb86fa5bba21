"""The networks that the paper's public sketch names, built from MONAI: what training is measured against.

Sizes as published (Kinetics-JOJO/REACT-KD, ``models``): the teacher has one Swin transformer of feature size 48 for
each modality, CBAM on its last stage, and two dense layers on 2 × 7 × 7 averages of its 768 channels; the student is a
SegResNet of 8 initial filters whose 24 full-size output channels are averaged to 8 × 16 × 16 and enter a dense layer of
25 million weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reactkd_auto.networks.cbam3d import CBAM3D

HIDDEN = 512
SWIN_CHANNELS, SWIN_GRID = 768, (2, 7, 7)
STUDENT_CHANNELS, STUDENT_GRID = 24, (8, 16, 16)


class PaperTeacher(nn.Module):
    """One encoder a modality; sides divisible by 32."""

    def __init__(self, classes: int, *, modalities: int = 2) -> None:
        from monai.networks.nets.swin_unetr import SwinUNETR

        super().__init__()
        networks = [SwinUNETR(in_channels=1, out_channels=classes, feature_size=48) for _ in range(modalities)]
        self.encoders = nn.ModuleList(network.swinViT for network in networks)
        self.attention = nn.ModuleList(CBAM3D(SWIN_CHANNELS) for _ in networks)
        self.pool = nn.AdaptiveAvgPool3d(SWIN_GRID)
        features = modalities * SWIN_CHANNELS * torch.Size(SWIN_GRID).numel()
        self.head = nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Dropout(0.3), nn.Linear(HIDDEN, classes))

    def forward(self, image: Tensor) -> Tensor:
        """[B, modalities, z, y, x] -> logits [B, K]."""
        maps = [
            attend(encode(image[:, i : i + 1])[-1])[0]
            for i, (encode, attend) in enumerate(zip(self.encoders, self.attention, strict=True))
        ]
        logits: Tensor = self.head(torch.cat([self.pool(m).flatten(1) for m in maps], 1))
        return logits


class PaperStudent(nn.Module):
    """Of one modality; sides divisible by 8."""

    def __init__(self, classes: int) -> None:
        from monai.networks.nets.segresnet import SegResNet

        super().__init__()
        self.encoder = SegResNet(
            in_channels=1, out_channels=STUDENT_CHANNELS, init_filters=8, dropout_prob=0.3, norm="instance"
        )
        self.pool = nn.AdaptiveAvgPool3d(STUDENT_GRID)
        features = STUDENT_CHANNELS * torch.Size(STUDENT_GRID).numel()
        self.head = nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Dropout(0.3), nn.Linear(HIDDEN, classes))

    def forward(self, image: Tensor) -> Tensor:
        """[B, 1, z, y, x] -> logits [B, K]."""
        logits: Tensor = self.head(self.pool(self.encoder(image)).flatten(1))
        return logits
