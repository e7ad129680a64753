"""The goals of `bench_gpu.py`, which are of one model on one card, and what cards can do by their data sheets."""

from dataclasses import dataclass

OF_SIZE, OF_CARD = "1.7B", "NVIDIA H200"

# Memory is also to be at most a third of the published pipeline's.
TIMES_FASTER, FLOOR_SHARE, MAX_PEAK_BYTES, PEAK_TIMES, REST_SHARE = 1.12, 0.75, 8e9, 0.33, 0.01
SEGMENT_TIMES_FASTER = 1.17
SAID = f"goals are of {OF_SIZE} on an {OF_CARD}, so other sizes and other cards have none beside their figures"


@dataclass(frozen=True)
class Card:
    """Bytes a second, and dense FLOP/s in float16 or bfloat16."""

    bytes_per_s: float
    flops_per_s: float


# SXM cards, as their drivers name them.
CARDS = {"NVIDIA H200": Card(4.8e12, 989e12), "NVIDIA H100 80GB HBM3": Card(3.35e12, 989e12)}


@dataclass(frozen=True)
class Goals:
    """Judges figures of a size on a card, if the goals are theirs."""

    card: str | None
    size: str

    @property
    def are_ours(self) -> bool:
        return (self.card, self.size) == (OF_CARD, OF_SIZE)

    def behind(self, what: str, goal: float) -> str:
        return f"{what} (goal {goal:g})" if self.are_ours else what

    def judged(self, said: str, is_met: bool) -> str:
        if not self.are_ours:
            return said
        return f"{said} {'met' if is_met else 'missed'}"
