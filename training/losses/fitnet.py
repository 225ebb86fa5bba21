"""FitNet: hints from a middle layer."""

from __future__ import annotations

from torch import Tensor, nn

from reactkd_auto.networks import GraphInputs
from reactkd_auto.training.losses.lesson import DistillationLoss, Lesson, Setting
from reactkd_auto.training.losses.masked import masked_mean


def hint_loss(regressed: Tensor, hint: Tensor, measured: Tensor) -> Tensor:
    """½ (r(f_S) − f_T)², mean over channels and measured voxels (Romero et al. 2015, arXiv 1412.6550, eq. 3).

    The paper sums; the mean keeps the loss of order one whatever the patch. It trains on hints first and on logits
    afterwards; here both are learnt at once, as later comparisons do.

    Args:
        regressed: (B, E, z, y, x) r(f_S).
        hint: (B, E, z, y, x) the teacher's map; no gradient goes there.
        measured: (B, 1, z, y, x) share of each voxel that was measured.
    """
    squares = (regressed.float() - hint.detach().float()).square().mean(1, keepdim=True)
    return 0.5 * masked_mean(squares, measured)


class FitNet(DistillationLoss):
    """`hint_loss` of the middle map stage; r is a 1×1×1 convolution."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.stage = setting.maps // 2
        self.regressor = nn.Conv3d(setting.width, setting.width, 1)

    def forward(self, lesson: Lesson) -> Tensor:
        """See `hint_loss`."""
        regressed = self.regressor(lesson.student.maps[self.stage])
        return hint_loss(regressed, lesson.teacher.maps[self.stage], lesson.measured[self.stage])

    def count(self, graph: GraphInputs, lesions: Tensor) -> Tensor:
        """Measured voxels."""
        return graph.weights[self.stage].sum()
