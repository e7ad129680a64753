"""Renders that are killed at random instants, each in a child forked from a process that has loaded the model.

`python -m tests.crash.campaign FOLDER NUM_KILLS SEED` renders the film of FOLDER/film.yaml into FOLDER/0, FOLDER/1
and so on, killing each render after a random part of the time that an undisturbed one takes and going on with it,
until NUM_KILLS have been killed. Beside each run is what it did, FOLDER/0.log: a line is appended, by one write, for
every step that the model makes and every commit that has returned; `|` where a render begins. Whether that is right
is for the caller to say; standard output ends in one JSON object.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import torch

from ursa_ray.exchange import Request, WorkerOptions
from ursa_ray.executor import InProcessExecutor
from ursa_ray.ledger import Commit, Run, Steps, open_store
from ursa_ray.ledger.commit import Link
from ursa_ray.listener import Listener
from ursa_ray.plan import Plan
from ursa_ray.prepare import prepare
from ursa_ray.render import render
from ursa_ray.work import Worker

OPTIONS = {"device": "cpu", "num_threads": 1}


class Oracle(Listener):
    """Appends what happens to a file that is no part of the run."""

    def __init__(self, path: Path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.say("|")

    def say(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())

    def finish(self, segment, place, seconds):
        self.say("committed", segment.name)


class Loaded(InProcessExecutor):
    """Its worker was loaded before the fork; it tells of every step as soon as it is made, before it is kept."""

    def __init__(self, options: WorkerOptions, worker: Worker, oracle: Oracle):
        super().__init__(options)
        self._loaded, self._oracle = worker, oracle

    def _load(self) -> Worker:
        worker, generate = self._loaded, self._loaded._generate
        worker._store = open_store(self._options.run)
        worker._steps = Steps(worker._store)

        def told(request: Request):
            for done, codes in generate(request):
                self._oracle.say("step", request.segment.name, done)
                yield done, codes

        worker._generate = told
        return worker


def one_render(plan: Plan, worker: Worker, folder: Path) -> None:
    run, oracle = Run.create(folder), Oracle(folder.with_suffix(".log"))
    options = WorkerOptions(plan.model, plan.weights_sha256, run.store.anywhere, **OPTIONS)
    render(plan, run, Loaded(options, worker, oracle), oracle)


def forked(plan: Plan, worker: Worker, folder: Path, limit_s: float) -> bool:
    """Render in a child that is killed after `limit_s`; whether it was."""
    began, child = time.monotonic(), os.fork()
    if child == 0:
        code = 1
        try:
            one_render(plan, worker, folder)
            code = 0
        finally:
            os._exit(code)
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() - began > limit_s:
            os.kill(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.0005)
    assert os.waitstatus_to_exitcode(ended[1]) in (0, -signal.SIGKILL), f"{folder}: the render failed"
    return ended[1] != 0


def phase(folder: Path, num_segments: int) -> str:
    """What a render that was killed was about to do."""
    if not (folder / "FORMAT.json").exists():
        return "begin"
    run = Run.open(folder)
    return "join" if len(run.segments) == num_segments else "make" if run.plan_sha256 else "begin"


def main(folder: Path, num_kills: int, seed: int) -> None:
    plan, rng = prepare(folder / "film.yaml").plan, random.Random(seed)
    worker = Worker(WorkerOptions(plan.model, plan.weights_sha256, str(folder), **OPTIONS))
    torch.set_num_threads(1)
    Commit("epoch", "").to_parquet(Link(0, "", 0, ""))  # now, not in every child: pyarrow loads pandas where it is
    forked(plan, worker, folder / "warm", 600)
    began = time.monotonic()
    assert not forked(plan, worker, folder / "undisturbed", 600)
    undisturbed_s = time.monotonic() - began
    # Most kills hit a render that goes on with a film: it takes part of the time.
    longest_s, films, killed = undisturbed_s * 0.6, [], Counter()
    while killed.total() < num_kills:
        film = folder / str(len(films))
        films.append(film.name)
        while killed.total() < num_kills:
            if not forked(plan, worker, film, rng.uniform(0, longest_s)):
                break
            killed[phase(film, plan.num_segments)] += 1
        else:
            forked(plan, worker, film, 600)
    times = {"undisturbed_s": undisturbed_s, "took_s": time.monotonic() - began, "cpu_s": sum(os.times()[:4])}
    print(json.dumps({"films": films, "killed": killed} | times))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
