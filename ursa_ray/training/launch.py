"""One worker function, run in this process or in several of this machine; `ursa_ray.cluster` runs it by Ray Train."""

import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from ursa_ray.training.config import Config

Worker = Callable[[Config], None]


def launch(worker: Worker, config: Config) -> None:
    """Run `worker` in `config.processes` processes and wait. A worker finds its team by `Team.here`."""
    if config.processes == 1:
        prepared(worker, config)
    else:
        with TemporaryDirectory(prefix="ursa-ray-train-") as folder:
            spawn(_member, (worker, config, Path(folder) / "meeting"), nprocs=config.processes)


def prepared(worker: Worker, config: Config) -> None:
    """Run `worker` with the log and the threads of `config`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    torch.set_num_threads(config.threads)
    worker(config)


def _member(rank: int, worker: Worker, config: Config, meeting: Path) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    backend = "nccl" if config.device == "cuda" else "gloo"
    if config.device == "cuda":
        torch.cuda.set_device(rank)
    store = dist.FileStore(str(meeting), config.processes)  # pyright: ignore[reportPrivateImportUsage] - documented
    dist.init_process_group(backend, store=store, rank=rank, world_size=config.processes)
    prepared(worker, config)
    # Python that ends in order under torch's own threads has aborted: two of some 700 launches, torch 2.13 on a CPU.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _leave_with_parent() -> None:
    """Members would go on without the process that a user stopped."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
