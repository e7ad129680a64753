"""The loop that both networks are trained by: draw, loss, mean of the gradients, step; log, look and save.

A run's folder holds `curve.csv`, `states/` (weights, their running mean, optimizer, step) and `looks/` (pictures). A
run goes on from the newest state that it finds. Same seed, same number of processes, same weights, resumed or not.
"""

import csv
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ursa_ray.errors import OptionError
from ursa_ray.training.config import Schedule
from ursa_ray.training.optimizers import Optimizers, rate_share
from ursa_ray.training.randomness import LOOKING, TRAINING, Draws
from ursa_ray.training.team import Team

logger = logging.getLogger(__name__)

# The newest, and one more in case the machine stops while the newest is written.
STATES_KEPT = 2


class Task(Protocol):
    """One network with its data. `progress` is the share of the steps that are done."""

    @property
    def module(self) -> nn.Module: ...

    def loss(self, draws: Draws, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch, and figures for the curve."""
        ...

    def look(self, module: nn.Module, draws: Draws, picture: Path) -> dict[str, float]:
        """Figures of `module`, a copy with the mean weights, on what is held out; writes a picture."""
        ...


def train(task: Task, schedule: Schedule, seed: int, folder: Path) -> nn.Module:
    """Train until `schedule.steps`; returns the module with the mean weights.

    A run that has ended goes on when it is given more steps, under the rates of the longer schedule.

    Raises:
        OptionError: the folder holds a state of more steps.
    """
    team = Team.here()
    parameters = list(task.module.parameters())
    optimizers = Optimizers(task.module, schedule)
    mean = torch.optim.swa_utils.AveragedModel(
        task.module, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(schedule.average)
    )
    first = _restore(folder, task.module, mean, optimizers)
    if first > schedule.steps:
        raise OptionError(
            f"{folder}: was trained for {first} steps, expected at most the {schedule.steps} of this run. "
            f"Give steps: {first} or more, or delete the folder."
        )
    curve = Curve(folder / "curve.csv", first) if team.leads else None
    for step in range(first, schedule.steps):
        loss, figures = task.loss(Draws(seed, TRAINING, step, team.rank), step / schedule.steps)
        loss.backward()
        team.average_gradients(parameters)
        optimizers.step(step)
        mean.update_parameters(task.module)
        if curve is not None:
            curve.add(step, {"loss": loss.detach()} | figures)
            _report(curve, task, mean.module, schedule, seed, step, folder)
            if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
                _save(folder, task.module, mean, optimizers, step + 1)
    team.wait()
    return mean.module


def _report(
    curve: "Curve", task: Task, module: nn.Module, schedule: Schedule, seed: int, step: int, folder: Path
) -> None:
    done = step + 1
    looked: dict[str, float] = {}
    if done % schedule.look_every == 0 or done == schedule.steps:
        module.eval()
        picture = folder / "looks" / f"{done:06d}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        # The same draws every time, so that figures and pictures can be compared.
        with torch.no_grad():
            looked = task.look(module, Draws(seed, LOOKING, 0), picture)
    if done % schedule.log_every == 0 or looked:
        curve.write(done, {"rate": rate_share(schedule, step)} | looked)


class Curve:
    """Means of figures since the last row, as CSV with a column for whatever turned up in this process."""

    def __init__(self, file: Path, first: int):
        self.file, self.rows = file, []
        if file.exists():
            with file.open(newline="") as lines:
                # Rows past the state that we go on from will be written again.
                self.rows = [row for row in csv.DictReader(lines) if int(row["step"]) <= first]
        self._sums: dict[str, list[float]] = {}
        self._since = time.monotonic()

    def add(self, step: int, figures: Mapping[str, Tensor]) -> None:
        for name, value in figures.items():
            self._sums.setdefault(name, []).append(float(value))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        means = {name: sum(values) / len(values) for name, values in self._sums.items()}
        num_steps = max(map(len, self._sums.values()), default=1)
        elapsed_s = time.monotonic() - self._since
        row = {"step": step} | means | dict(figures) | {"s_per_step": elapsed_s / num_steps}
        self.rows.append(
            {name: f"{value:.5g}" if isinstance(value, float) else str(value) for name, value in row.items()}
        )
        self._sums, self._since = {}, time.monotonic()
        logger.info("%s", " ".join(f"{name} {value}" for name, value in self.rows[-1].items()))
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(".part")
        with aside.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(aside, self.file)


def newest_state(folder: Path) -> Path | None:
    return max((folder / "states").glob("*.pt"), default=None)


def load_mean(folder: Path, module: nn.Module) -> int:
    """Fill `module` with the mean weights of the newest state; returns its step."""
    file = newest_state(folder)
    if file is None:
        raise OptionError(f"{folder}: no state is saved here yet. Train first, or go on training.")
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    module.load_state_dict(
        {name.removeprefix("module."): value for name, value in state["mean"].items() if name != "n_averaged"}
    )
    return state["step"]


def _restore(folder: Path, module: nn.Module, mean: nn.Module, optimizers: Optimizers) -> int:
    file = newest_state(folder)
    if file is None:
        return 0
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    module.load_state_dict(state["module"])
    mean.load_state_dict(state["mean"])
    optimizers.load_state_dict(state["optimizers"])
    logger.info("going on from %s", file)
    return state["step"]


def _save(folder: Path, module: nn.Module, mean: nn.Module, optimizers: Optimizers, step: int) -> None:
    states = folder / "states"
    states.mkdir(parents=True, exist_ok=True)
    state = {
        "module": module.state_dict(),
        "mean": mean.state_dict(),
        "optimizers": optimizers.state_dict(),
        "step": step,
    }
    aside = states / "part"
    torch.save(state, aside)
    os.replace(aside, states / f"{step:08d}.pt")
    for old in sorted(states.glob("*.pt"))[:-STATES_KEPT]:
        old.unlink()
