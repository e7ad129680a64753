"""A process that works on what its leader works on, on a device of its own.

It has the transformer alone. Through a pipe it is told to meet the others, once all have loaded, and gets tasks; it
keeps nothing between them. It ends when its pipe does, which is when its leader ends, however that happens: a thread
waits for that even while the device is at work.
"""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import torch

from ursa_ray.checkpoint import Checkpoint
from ursa_ray.model.backends import Backends
from ursa_ray.model.devices import Devices
from ursa_ray.model.group import Group
from ursa_ray.model.loading import load_transformer
from ursa_ray.model.member import Member, Task


@dataclass(frozen=True)
class Orders:
    """What a follower is told when it starts; in `folder` it meets the others."""

    rank: int
    devices: Devices
    checkpoint: Checkpoint
    dtype: torch.dtype
    backends: Backends
    num_threads: int
    folder: Path


@dataclass(frozen=True)
class Follower:
    """The process as its leader sees it. What comes through the pipe is news: None that it has loaded, else its end."""

    process: BaseProcess
    pipe: Any

    @classmethod
    def start(cls, orders: Orders) -> "Follower":
        here, there = get_context("spawn").Pipe()
        name = f"device {orders.rank + 1} of {orders.devices.number} ({orders.devices[orders.rank]})"
        process = get_context("spawn").Process(target=_follow, args=(orders, there), name=name, daemon=True)
        with _deaf_to_ctrl_c(), there:
            process.start()
        return cls(process, here)

    def send(self, task: Task | None) -> None:
        """Wait until it is taken, or the process has ended, which is news. None first: meet the others."""
        with suppress(OSError):
            self.pipe.send(task)

    def news(self) -> str | None:
        """Wait for it; what has become of the process, or None if it has loaded."""
        try:
            said = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            said = f"its process ended with exit code {self.process.exitcode}"
        return said and f"{self.process.name}: {said}"


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A terminal tells all processes of Ctrl-C; what follows from it is for the leader to say."""
    resource_tracker.ensure_running()  # else the first spawn starts it, which lets SIGINT through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow(orders: Orders, pipe: Any) -> None:
    tasks: SimpleQueue[Any] = SimpleQueue()
    listener = Thread(target=_listen, args=(pipe, tasks, orders.folder), daemon=True)
    listener.start()
    try:
        torch.set_num_threads(orders.num_threads)
        device = orders.devices[orders.rank]
        transformer = load_transformer(orders.checkpoint, device, orders.dtype)
        transformer.compute_with(orders.backends)
        pipe.send(None)
        tasks.get()  # the others have loaded, too
        group = Group.join(orders.folder, orders.rank, orders.devices.number, device)
        member = Member(transformer, group, orders.devices.splits_guidance)
        while True:
            member.follow(tasks.get())
    except Exception as error:
        with suppress(OSError):
            pipe.send(f"{type(error).__name__}: {error}")
            os._exit(1)  # whatever other threads wait for; the leader still needs the folder
        listener.join()  # the leader is gone


def _listen(pipe: Any, tasks: "SimpleQueue[Any]", folder: Path) -> None:
    """End at once with the pipe, whatever other threads wait for."""
    try:
        while True:
            tasks.put(pipe.recv())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)
