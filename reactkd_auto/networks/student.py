"""The student: a light encoder on the base image, with privileged channels only where the user asks for them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from .cbam3d import CBAM3D
from .covariates import CovariateBranch, added
from .fusion import Branch
from .outputs import GraphInputs, Outputs
from .readout import RegionReadout


class PresenceInput(nn.Module):
    """Input of a student that sees more than the base image, whichever further channels a case has.

    Where a further channel was not measured a learned value stands in for it, and a plane says which is which.
    The base image passes as it is (edges replicated), without a plane: where a crop ends is no finding, and a
    network that is told would learn it.

    Args:
        channels: Number of channels Cs, the base first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(channels - 1))
        self.out_channels = 2 * channels - 1

    def forward(self, images: Tensor, present: Tensor, valid: Tensor) -> Tensor:
        """[B, Cs, z, y, x] → [B, 2 Cs − 1, z, y, x]: base, further channels, their presence planes."""
        measured = valid[:, 1:] & present[:, 1:, None, None, None]
        further = torch.where(measured, images[:, 1:], self.tokens[None, :, None, None, None].to(images.dtype))
        return torch.cat([images[:, :1], further, measured.to(images.dtype)], dim=1)


class Student(nn.Module):
    """Encoder, projections, the teachers' CBAM3D, region readout; no decoder.

    Args:
        branch: Light encoder with its projections.
        cbam: In the teachers' width; ``student.cbam.load_state_dict(teachers.cbam.state_dict())`` hands it over.
        readout: Of the teachers' kind, with weights of its own.
        presence: How more than one channel is put together; None for the base image alone.
        covariates: What adds the clinical covariates' logits; None for a student that does not see them.
    """

    def __init__(
        self,
        *,
        branch: Branch,
        cbam: CBAM3D,
        readout: RegionReadout,
        presence: PresenceInput | None,
        covariates: CovariateBranch | None = None,
    ) -> None:
        super().__init__()
        self.branch = branch
        self.cbam = cbam
        self.readout = readout
        self.presence = presence
        self.covariates = covariates

    def forward(
        self, images: Tensor, present: Tensor, valid: Tensor, graph: GraphInputs, *, covariates: Tensor | None = None
    ) -> Outputs:
        """Answer for normalised images [B, Cs, z, y, x], present bool [B, Cs], valid bool [B, Cs, z, y, x].

        A student that sees covariates takes [B, V], NaN if missing; None: all are. Others do not look at them.
        """
        if self.presence is not None:
            images = self.presence(images, present, valid)
        attended = [self.cbam(m, w) for m, w in zip(self.branch(images), graph.weights, strict=True)]
        outputs: Outputs = self.readout([a[0] for a in attended], tuple(a[1] for a in attended), graph)
        if self.covariates is None:
            return outputs
        return replace(outputs, logits=added(self.covariates, outputs.logits, covariates))
