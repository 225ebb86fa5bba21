"""The two teachers, structure-function and dose, and their fusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from reactkd_auto.plan import NetworkPlan

from .cbam3d import CBAM3D
from .covariates import CovariateBranch, added
from .fusion import Branch, MissingToken, fuse
from .outputs import GraphInputs, Outputs, TeacherOutputs
from .pooling import area_average, map_stages
from .readout import RegionReadout


class Teachers(nn.Module):
    """One structure-function branch a privileged channel on [base, channel]; one dose branch on base at random dose.

    Maps of all branches meet in one width E; the one CBAM3D attends to every map of every branch, so that attention
    means the same in all of them and can be handed to the student. Each teacher (structure-function, dose, fused)
    has a readout of its own and can be judged alone.

    Args:
        network: For strides and map stages.
        cbam: The one shared attention, in width E.
        dose: The dose branch.
        readouts: One for each of ``dose`` and, with privileged branches, ``structure`` and ``fused``.
        privileged: Branches by channel index, empty without a structure-function teacher.
        tokens: What stands in for each privileged branch where its channel was not measured; same keys.
        covariates: Branches by the readout whose logits they add to; the dose teacher, which stands for the CT alone,
            has none, unless it is the only teacher (``fused`` then). Empty where the dataset has no covariates.
    """

    def __init__(
        self,
        *,
        network: NetworkPlan,
        cbam: CBAM3D,
        dose: Branch,
        readouts: dict[str, RegionReadout],
        privileged: dict[int, Branch],
        tokens: dict[int, MissingToken],
        covariates: dict[str, CovariateBranch],
    ) -> None:
        super().__init__()
        self.network = network
        self.stages = map_stages(network)
        self.cbam = cbam
        self.dose = dose
        self.readouts = nn.ModuleDict(readouts)
        self.privileged = nn.ModuleDict({str(channel): branch for channel, branch in privileged.items()})
        self.tokens = nn.ModuleDict({str(channel): token for channel, token in tokens.items()})
        self.covariates = nn.ModuleDict(covariates)

    def forward(
        self,
        image: Tensor,
        base_dose: Tensor,
        present: Tensor,
        valid: Tensor,
        graph: GraphInputs,
        *,
        covariates: Tensor | None = None,
    ) -> TeacherOutputs:
        """Every teacher's answer.

        Args:
            image: Normalised [B, C, z, y, x]; what stands in absent channels is not looked at.
            base_dose: Normalised [B, 1, z, y, x], the base image at the dose drawn for it.
            present: bool [B, C]. A branch runs for the cases that have its channel: on the CPU, that is known without
                waiting for the device.
            valid: bool [B, C, z, y, x].
            graph: Regions on the networks' grids.
            covariates: float [B, V], NaN if missing; None: all are.
        """
        dose_maps = self.dose(base_dose)
        dose = self._read("dose", dose_maps, graph)
        if not self.privileged:
            return TeacherOutputs(fused=self._informed("fused", dose, covariates), structure=None, dose=dose)
        structure_maps = [self._privileged_maps(int(c), image, present, valid) for c in self.privileged]
        structure = self._read("structure", fuse(structure_maps), graph)
        fused = self._read("fused", fuse([*structure_maps, dose_maps]), graph)
        return TeacherOutputs(
            fused=self._informed("fused", fused, covariates),
            structure=self._informed("structure", structure, covariates),
            dose=dose,
        )

    def dose_alone(self, base_dose: Tensor, graph: GraphInputs) -> Outputs:
        """The dose teacher's answer to [B, 1, z, y, x], without the cost of the other branches."""
        return self._read("dose", self.dose(base_dose), graph)

    def _informed(self, name: str, answer: Outputs, covariates: Tensor | None) -> Outputs:
        if name not in self.covariates:
            return answer
        return replace(answer, logits=added(self.covariates[name], answer.logits, covariates))

    def _read(self, name: str, maps: Sequence[Tensor], graph: GraphInputs) -> Outputs:
        attended = [self.cbam(m, weight) for m, weight in zip(maps, graph.weights, strict=True)]
        outputs: Outputs = self.readouts[name]([a[0] for a in attended], tuple(a[1] for a in attended), graph)
        return outputs

    def _privileged_maps(self, channel: int, image: Tensor, present: Tensor, valid: Tensor) -> list[Tensor]:
        branch, token = self.privileged[str(channel)], self.tokens[str(channel)]
        there = present[:, channel].to(valid.device, non_blocking=True)
        measured = (valid[:, channel, None] & there[:, None, None, None, None]).float()
        presence = [area_average(measured, self.network, stage) for stage in self.stages]
        rows = _rows(present[:, channel])
        if len(rows) == 0:
            return list(token(None, presence))
        pair = image[:, [0, channel]]
        if len(rows) == len(image):
            return list(token(branch(pair), presence))
        rows = rows.to(image.device, non_blocking=True)
        return list(token([_spread(m, rows, len(image)) for m in branch(pair[rows])], presence))


def _rows(present: Tensor) -> Tensor:
    """Indices of the cases that have a channel: the branch runs for them only (group norm: same result)."""
    if present.is_meta:  # counting operations, there are no values to look at: the branch runs for every case
        return torch.arange(len(present))
    return present.nonzero()[:, 0]


def _spread(maps: Tensor, rows: Tensor, batch: int) -> Tensor:
    """Maps of the cases ``rows`` at their places in the batch, 0 for the others."""
    return maps.new_zeros(batch, *maps.shape[1:]).index_copy(0, rows, maps)
