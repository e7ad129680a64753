"""Samples of a benchmark's suite, in the folder that its scorer is given, which holds nothing else."""

import hashlib
import posixpath
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ursa_ray import __version__
from ursa_ray.errors import OptionError
from ursa_ray.executor import Executor
from ursa_ray.files import file_sha256
from ursa_ray.ledger import Run, Store
from ursa_ray.listener import Listener
from ursa_ray.sampling.grids import Grids, parts
from ursa_ray.sampling.make import Made, make_samples, open_results, require_no_film
from ursa_ray.sampling.planning import Planned
from ursa_ray.sampling.samples import SUFFIXES, Sample, Settings
from ursa_ray.suites import Suite

MAX_NAMED = 3

# Folders are listed side by side: in a bucket each takes a request.
NUM_LISTING = 16


def samples_of(suite: Suite, seed: int) -> list[Sample]:
    """Sample number k of a prompt has the seed `seed` + k, however many there are: a suite may get more of them.

    The prompt goes into what the model draws with, too, so that no two samples are alike.
    """
    return [
        Sample(result.prompt, seed + number, path, image=result.image, where=result.where)
        for result in suite.results
        for number, path in zip(result.numbers, parts(result), strict=True)
    ]


def sample_suite(
    suite: Suite, planned: Planned, run: Run, executor: Executor, out: str, listener: Listener | None = None
) -> Made:
    """Make what is missing of a suite in `out`, a folder or s3://bucket/prefix; `planned` is of its `samples_of`.

    Grids are put together from samples that stay in the run, each as soon as its samples are there.

    Raises:
        Those of `open_suite` and `make_samples`.
    """
    require_no_film(run)
    store = open_suite(suite, out)
    for path, text in suite.notes.items():
        if not store.exists(path) or store.read(path) != text.encode():
            store.put(path, text.encode())
    if not suite.has_grids:
        return make_samples(planned, run, executor, listener, out)
    with Grids(suite, run.store, store) as grids:
        return make_samples(planned, run, executor, listener, arrived=grids.add)


def open_suite(suite: Suite, out: str) -> Store:
    """Where a suite's results are to be, which holds no others: its scorer would read them, too.

    Raises:
        OptionError: it holds others, or there can be none.
    """
    store, known = open_results(out), {result.path for result in suite.results}
    with ThreadPoolExecutor(NUM_LISTING, "listing") as pool:
        listed = pool.map(lambda name: list(_results(store, name, set(suite.notes))), store.names(""))
        others = [path for paths in listed for path in paths if path not in known]
    if others:
        more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
        raise OptionError(
            f"{out}: holds {', '.join(others[:MAX_NAMED])}{more}, which is not asked for now, and {suite.name}'s "
            "scorer would read it. Remove it, or give another --out."
        )
    return store


def _results(store: Store, path: str, notes: set[str]) -> Iterator[str]:
    """Images and videos at a path and below it."""
    if posixpath.splitext(path)[1] in SUFFIXES.values():
        yield path
    elif path not in notes:
        for name in store.names(path):
            yield from _results(store, f"{path}/{name}", notes)


def suite_summary(
    suite: Suite, settings: Settings, seed: int, planned: Planned, run: Run, made: Made, out: str
) -> dict[str, Any]:
    """What was sampled, with what: all that is needed to do it again."""
    plan = planned.plan
    commits = [run.segments[segment.key] for segment in plan.segments]
    return {
        "suite": suite.name,
        "out": out,
        "files": {role: _file(path) for role, path in suite.files.items()},
        "dimensions": list(suite.dimensions),
        "number": suite.number,
        "num_prompts": suite.num_prompts,
        "num_cut_prompts": planned.num_cut,
        "num_samples": suite.num_samples,
        "num_files": len(suite.results),
        "first_seed": seed,
        "settings": asdict(settings) | {"steps": plan.segments[0].steps, "guidance": plan.segments[0].guidance},
        "width": plan.width,
        "height": plan.height,
        "frames": plan.segments[0].num_frames,
        "devices": sorted({commit.device for commit in commits if commit.device}),
        "dtypes": sorted({commit.dtype for commit in commits if commit.dtype}),
        "weights_sha256": plan.weights_sha256,
        "plan_sha256": plan.sha256,
        "version": __version__,
        "generated_segments": made.generated_segments,
        "reused_segments": made.reused_segments,
    }


def _file(path: Path) -> dict[str, str]:
    """Where a file or a folder of files is, and the hash of what is in it."""
    if path.is_file():
        return {"path": str(path), "sha256": file_sha256(path)}
    names = [f"{file_sha256(file)}  {file.name}\n" for file in sorted(path.iterdir()) if file.is_file()]
    return {"path": str(path), "sha256": hashlib.sha256("".join(names).encode()).hexdigest()}
