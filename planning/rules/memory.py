"""How a batch is held in a GPU's memory, in the way that changes results least."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reactkd_auto.plan import NetworkPlan, Triple
from reactkd_auto.planning.rules.footprint import footprint
from reactkd_auto.planning.rules.hardware import Hardware

USABLE = 0.8
"""Share of the memory that the estimate may fill: the rest is for the context, cuDNN's workspace, fragmentation, and
for what the estimate misses."""
FEWEST_AT_ONCE = 2
"""Losses that compare samples (as correlations do) need two."""


@dataclass(frozen=True)
class Way:
    """How a batch is held.

    Attributes:
        accumulation_steps: Parts that it is learnt from in.
        checkpointing: Whether activations are computed twice.
        gigabytes: Estimate of what that takes (2³⁰ bytes).
    """

    accumulation_steps: int
    checkpointing: bool
    gigabytes: float


@dataclass(frozen=True)
class Memory:
    """A GPU's memory and what is trained in it.

    Attributes:
        hardware: The GPU.
        batch_size: Samples of a batch.
        encoders: Teachers' encoders, the dose branch's among them.
        nodes: Most region nodes.
    """

    hardware: Hardware
    batch_size: int
    encoders: int
    nodes: int

    @property
    def usable_gb(self) -> float:
        """What may be filled."""
        return USABLE * self.hardware.gpu_memory_gb

    def way(self, network: NetworkPlan, patch: Triple) -> Way | None:
        """The first of `ways` that fits; None: none does."""
        return next((way for way in self.ways(network, patch) if way.gigabytes <= self.usable_gb), None)

    def ways(self, network: NetworkPlan, patch: Triple) -> Iterator[Way]:
        """From the least harmful on.

        The batch whole; in parts of two or more, which costs no time and changes no more than rounding, random numbers,
        the pace of running statistics, and losses that compare samples; then activations computed twice, which changes
        nothing and costs a fifth more work; single samples last.
        """
        parts = range(1, self.batch_size + 1)
        several = [n for n in parts if -(-self.batch_size // n) >= FEWEST_AT_ONCE]
        for counts in (several, [self.batch_size]):
            for checkpointing in (False, True):
                for n in counts:
                    held = -(-self.batch_size // n)
                    takes = footprint(
                        network,
                        patch,
                        encoders=self.encoders,
                        nodes=self.nodes,
                        batch=self.batch_size,
                        samples=held,
                        checkpointing=checkpointing,
                    )
                    yield Way(n, checkpointing, takes)

    def hold(self, network: NetworkPlan, patch: Triple) -> tuple[tuple[int, str], tuple[bool, str]]:
        """Accumulation steps and checkpointing, each with its reason."""
        if self.hardware.device == "cpu":
            return (1, "a CPU's memory holds a batch whole"), (False, "off: a CPU's memory holds all activations")
        ways = list(self.ways(network, patch))
        way = self.way(network, patch) or ways[-1]
        takes = f"about {way.gigabytes:.1f} GB at the peak"
        usable = f"{USABLE:.0%} of {self.hardware.gpu_memory_gb:g} GB may be planned with"
        if way.gigabytes > self.usable_gb:
            usable += ", less than that: expect it to run out of memory"
        held = -(-self.batch_size // way.accumulation_steps)
        part = "one sample" if held == 1 else f"at most {held}"
        if way.accumulation_steps == 1:
            steps = f"a batch of {self.batch_size} is held whole, which takes {takes}; {usable}"
        else:
            steps = (
                f"a batch of {self.batch_size} is learnt from in parts of {part}, whose gradients are summed: "
                f"that takes {takes} (all at once {ways[0].gigabytes:.1f} GB); {usable}"
            )
        if not way.checkpointing:
            return (way.accumulation_steps, steps), (False, "off: activations fit into the memory")
        return (way.accumulation_steps, steps), (
            True,
            "on: activations are computed twice, with the same results, because keeping them would leave no room for "
            f"{'one sample' if held == 1 else 'two samples at once'}",
        )
