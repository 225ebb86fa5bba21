"""The dose teacher should say the same at every dose."""

from __future__ import annotations

from torch import Tensor

from reactkd_auto.training.losses.kl import softened_kl


def dose_consistency(lower: Tensor, higher: Tensor) -> Tensor:
    """KL(p at the higher dose ‖ p at the lower dose), mean over the batch; needs no label.

    The higher dose is the target and gets no gradient (as in unsupervised data augmentation, Xie et al. 2020,
    arXiv 1904.12848): the noisier view learns from the cleaner one, never the other way round.

    Args:
        lower, higher: (B, K) logits of the dose head at the lower and the higher dose fraction.
    """
    return softened_kl(lower, higher, 1.0).mean()
