"""Samples of a benchmark's suite, in the folder that its scorer is given, which holds nothing else."""

import hashlib
import posixpath
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from ursa_ray import __version__
from ursa_ray.executor import Executor
from ursa_ray.files import file_sha256
from ursa_ray.ledger import SAMPLES, Run, Store, open_store
from ursa_ray.listener import Listener
from ursa_ray.media import read_note, write_grid
from ursa_ray.sampling.make import Made, make_samples
from ursa_ray.sampling.planning import Planned
from ursa_ray.sampling.samples import Sample, Settings
from ursa_ray.suites import Result, Suite

COLUMNS = 2

# PNG of 2048 x 2048 takes more than a second of a core.
NUM_TILING = 4


def samples_of(suite: Suite, seed: int) -> list[Sample]:
    """Sample number k of a prompt has the seed `seed` + k, however many there are: a suite may get more of them.

    The prompt goes into what the model draws with, too, so that no two samples are alike.
    """
    return [
        Sample(result.prompt, seed + number, path, image=result.image)
        for result in suite.results
        for number, path in zip(result.numbers, _parts(result), strict=True)
    ]


def sample_suite(
    suite: Suite, planned: Planned, run: Run, executor: Executor, out: str, listener: Listener | None = None
) -> Made:
    """Make what is missing of a suite in `out`, a folder or s3://bucket/prefix; `planned` is of its `samples_of`.

    Grids are put together from samples that stay in the run.

    Raises:
        Those of `make_samples`.
    """
    made = make_samples(planned, run, executor, listener, None if suite.has_grids else out)
    store = open_store(out)
    if suite.has_grids:
        _tile(suite, made, run, store)
    for path, text in suite.notes.items():
        if not store.exists(path) or store.read(path) != text.encode():
            store.put(path, text.encode())
    return made


def suite_summary(
    suite: Suite, settings: Settings, seed: int, planned: Planned, made: Made, out: str
) -> dict[str, Any]:
    """What was sampled, with what: all that is needed to do it again."""
    plan = planned.plan
    return {
        "suite": suite.name,
        "out": out,
        "prompts": {path.name: file_sha256(path) for path in suite.prompts if path.is_file()},
        "num_prompts": suite.num_prompts,
        "num_samples": suite.num_samples,
        "num_files": len(suite.results),
        "first_seed": seed,
        "settings": asdict(settings) | {"steps": plan.segments[0].steps, "guidance": plan.segments[0].guidance},
        "width": plan.width,
        "height": plan.height,
        "frames": plan.segments[0].num_frames,
        "weights_sha256": plan.weights_sha256,
        "plan_sha256": plan.sha256,
        "version": __version__,
        "generated_segments": made.generated_segments,
        "reused_segments": made.reused_segments,
    }


def _parts(result: Result) -> list[str]:
    if len(result.numbers) == 1:
        return [result.path]
    path = PurePosixPath(result.path)
    return [f"{path.with_suffix('')}/{index}{path.suffix}" for index in range(len(result.numbers))]


def _tile(suite: Suite, made: Made, run: Run, out: Store) -> None:
    """Grids that are missing, damaged or of other samples."""
    with ThreadPoolExecutor(NUM_TILING, "tiling") as pool:
        for done in [pool.submit(_tile_one, result, note, run.store, out) for result, note in _noted(suite, made)]:
            done.result()


def _noted(suite: Suite, made: Made) -> Iterator[tuple[Result, str]]:
    """Each result, and the hash of the samples that it is to show."""
    hashes = iter(made.hashes)
    for result in suite.results:
        parts = "".join(next(hashes) for _ in result.numbers)
        yield result, hashlib.sha256(parts.encode()).hexdigest()


def _tile_one(result: Result, note: str, samples: Store, out: Store) -> None:
    if out.exists(result.path):
        with out.reading(result.path) as there:
            if read_note(there) == note:
                return
    folder, name = posixpath.split(result.path)
    with ExitStack() as stack:
        parts = [stack.enter_context(samples.reading(f"{SAMPLES}/{path}")) for path in _parts(result)]
        write_grid(stack.enter_context(out.writing(folder)) / name, parts, COLUMNS, note)
