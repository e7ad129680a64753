"""Muon for matrices, AdamW for the rest.

Muon (Jordan et al., 2024) makes every update of a matrix orthogonal. A kernel of a convolution counts as the matrix
(out, in * kernel); it is handed to `torch.optim.Muon`, which takes matrices alone, as a view that shares its memory.
Embeddings and the head have one row per token, of which few are seen in a step: AdamW.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ursa_ray.training.config import Schedule

BY_ROW = ("embed_tokens.weight", "lm_head.weight")


@dataclass(frozen=True)
class Groups:
    matrices: dict[str, nn.Parameter]
    others: dict[str, nn.Parameter]


def group_parameters(module: nn.Module) -> Groups:
    """Every parameter once: matrices and kernels, and others (one dimension, one row, or a table)."""
    named = {name: value for name, value in module.named_parameters() if value.requires_grad}
    is_matrix = {
        name: value.ndim >= 2 and min(value.flatten(1).shape) > 1 and not name.endswith(BY_ROW)
        for name, value in named.items()
    }
    return Groups(
        {name: value for name, value in named.items() if is_matrix[name]},
        {name: value for name, value in named.items() if not is_matrix[name]},
    )


class Optimizers:
    def __init__(self, module: nn.Module, schedule: Schedule):
        self.schedule = schedule
        groups = group_parameters(module)
        others = list(groups.others.values())
        self._kernels: list[tuple[nn.Parameter, Tensor]] = []
        self._optimizers: list[tuple[torch.optim.Optimizer, float]] = []
        if schedule.muon is None:
            others += groups.matrices.values()
        else:
            self._kernels = [(value, value.detach().flatten(1)) for value in groups.matrices.values()]
            views = [view for _, view in self._kernels]
            muon = torch.optim.Muon(views, lr=schedule.muon, weight_decay=schedule.weight_decay)
            self._optimizers.append((muon, schedule.muon))
        adamw = torch.optim.AdamW(others, lr=schedule.adamw, betas=(0.9, 0.95), weight_decay=schedule.weight_decay)
        self._optimizers.append((adamw, schedule.adamw))

    def step(self, step: int) -> None:
        """Apply and drop the gradients of `step`, counted from 0."""
        share = rate_share(self.schedule, step)
        for kernel, view in self._kernels:
            assert kernel.grad is not None and kernel.data_ptr() == view.data_ptr(), kernel.shape
            view.grad = kernel.grad.flatten(1)
        for optimizer, rate in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * share
            optimizer.step()
            optimizer.zero_grad()
        for kernel, _ in self._kernels:
            kernel.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {str(i): optimizer.state_dict() for i, (optimizer, _) in enumerate(self._optimizers)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for i, (optimizer, _) in enumerate(self._optimizers):
            optimizer.load_state_dict(state[str(i)])


def rate_share(schedule: Schedule, step: int) -> float:
    """Share of the full rate: up during the warm-up, then level, then down to 0 after the last step."""
    rising = (step + 1) / (schedule.warmup + 1)
    falling = (schedule.steps - step) / (schedule.steps * (1 - schedule.hold) + 1e-9)
    return min(1.0, rising, falling)
