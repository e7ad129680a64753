"""One device of a crew: its transformer, and its part of the hidden rows of a step.

There are two ways to share a step out. Both are exact: every row is computed from the same numbers as on one device,
and rounded otherwise only where a product of fewer rows is.

Branches: with guidance, one member takes the prompt and the other the negative prompt. All that is sent is the scored
rows of one of them, at the end: at the released size (33,601 positions, float16) at most 136 MB a step.

Positions: every member computes queries, keys and values of its positions, gathers the keys and values of all, and
attends from its own. There are half as many key heads as query heads, which makes that small: of each prompt and layer
either of two members sends 69 MB, of each prompt 1.9 GB a step. To exchange heads instead of positions
(DeepSpeed-Ulysses, arXiv 2309.14509) takes 1.5 times as much on two devices, as much on three, and less from four on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ursa_ray.model.group import LEADER, Group
from ursa_ray.model.shards import Shards
from ursa_ray.model.transformer import Attention, Transformer


@dataclass(frozen=True)
class Task:
    """Hidden rows that are wanted, as a pipe takes them.

    Attributes:
        prompts: ids (b, p).
        codes: (tokens,) on the `grid` (t, h, w); all prompts share them.
        scored: the tokens whose rows are wanted.
    """

    prompts: np.ndarray
    codes: np.ndarray
    grid: tuple[int, int, int]
    scored: np.ndarray

    @property
    def num_text(self) -> int:
        return self.prompts.shape[1]


class Member:
    """`splits_guidance`: each of two members takes a branch where there are two; else all share the positions."""

    def __init__(self, transformer: Transformer, group: Group, splits_guidance: bool):
        self.transformer, self.group, self._splits_guidance = transformer, group, splits_guidance
        self._rotary = lru_cache(maxsize=1)(transformer.rotary)

    @torch.no_grad()
    def follow(self, task: Task) -> None:
        """Do this member's part of a task that another leads."""
        self.group.tell(LEADER, self._part(task))

    @torch.no_grad()
    def lead(self, task: Task) -> Float[Tensor, "b scored d"]:
        """The rows of a task that all others follow."""
        part = self._part(task)
        if self._takes_a_branch(task):
            return torch.cat([part, self.group.hear(1, part, part.shape)])
        scored = self._tensor(task.scored) + task.num_text
        rows = part.new_empty(len(part), len(scored), part.shape[-1])
        for rank in range(self.group.size):
            owned = self._shards(task).owned(rank, scored)
            shape = (len(part), len(owned), part.shape[-1])
            rows[:, owned] = part if rank == LEADER else self.group.hear(rank, part, shape)
        return rows

    def _part(self, task: Task) -> Float[Tensor, "branches part d"]:
        rotary = self._rotary(task.num_text, task.grid)
        prompts, codes, scored = map(self._tensor, (task.prompts, task.codes, task.scored))
        if self._takes_a_branch(task):
            return self.transformer(prompts[self.group.rank :][:1], codes, rotary, scored)
        shards = self._shards(task)
        here, positions = shards.of(self.group.rank), scored + task.num_text
        rows = positions[shards.owned(self.group.rank, positions)] - here.start
        # Whoever has none of the rows still has keys and values for the others.
        asked = rows if len(rows) else rows.new_zeros(1)
        ids = self.transformer.sequence(prompts, codes)[:, here]
        with self._gathering(shards):
            body = self.transformer.model
            return body.top(body.trunk(ids, rotary[:, here]), rotary[:, here], asked)[:, : len(rows)]

    def _takes_a_branch(self, task: Task) -> bool:
        return self._splits_guidance and len(task.prompts) == self.group.size

    def _shards(self, task: Task) -> Shards:
        return Shards(task.num_text + 1 + len(task.codes), self.group.size)

    def _tensor(self, array: np.ndarray) -> Int64[Tensor, "..."]:
        return torch.from_numpy(array).to(self.transformer.lm_head.weight.device)

    @contextmanager
    def _gathering(self, shards: Shards) -> Iterator[None]:
        """Within this context all layers attend to the positions of all members."""

        def gather(
            k: Float[Tensor, "b shard kv_heads d"], v: Float[Tensor, "b shard kv_heads d"]
        ) -> Float[Tensor, "2 b n kv_heads d"]:
            return shards.join(self.group.gather(torch.stack([k, v])), dim=2)  # one message for both

        attentions = [module for module in self.transformer.modules() if isinstance(module, Attention)]
        for attention in attentions:
            attention.gather = gather
        try:
            yield
        finally:
            for attention in attentions:
                attention.gather = None
