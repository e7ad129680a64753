"""Samples of a benchmark's suite, in the folder that its scorer is given, which holds nothing else."""

import posixpath
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ursa_ray.errors import OptionError
from ursa_ray.executor import Executor
from ursa_ray.ledger import Run, Store
from ursa_ray.listener import Listener
from ursa_ray.sampling.grids import Grids, parts
from ursa_ray.sampling.make import Made, make_samples, open_results, require_no_film
from ursa_ray.sampling.record import RECORD, Evaluation, differences, read_record, write_record
from ursa_ray.sampling.samples import SUFFIXES, Sample
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


def sample_suite(asked: Evaluation, run: Run, executor: Executor, listener: Listener | None = None) -> Made:
    """Make what is missing of a suite, whose plan is of its `samples_of`.

    Grids are put together from samples that stay in the run, each as soon as its samples are there. `evaluation.json`
    in the run says from the beginning what is sampled, and in the end that all of it is.

    Raises:
        Those of `stale_results` and `make_samples`.
    """
    require_no_film(run)
    store, suite, planned = open_results(asked.out), asked.suite, asked.planned

    def begin() -> None:
        for path in stale_results(asked, run):  # others may have worked here until now
            store.remove(path)
        write_record(run, asked.record)
        for path, text in suite.notes.items():
            if not store.exists(path) or store.read(path) != text.encode():
                store.put(path, text.encode())

    if suite.has_grids:
        with Grids(suite, run.store, store) as grids:
            made = make_samples(planned, run, executor, listener, arrived=grids.add, prepare=begin)
    else:
        made = make_samples(planned, run, executor, listener, asked.out, prepare=begin)
    write_record(run, asked.finished(run, made))
    return made


def stale_results(asked: Evaluation, run: Run | None) -> list[str]:
    """Results that are not of what is asked for now and are to be removed first: the scorer would read them, too.

    `run` is where the work is, None if nothing is there yet.

    Raises:
        OptionError: such are there and may not be removed, or others that nothing takes the place of; or there can be
            none.
    """
    _require_squares(asked)
    store, known = open_results(asked.out), {result.path for result in asked.suite.results}
    there = _results_in(store, asked.suite)
    others = [path for path in there if path not in known]
    if others:
        more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
        raise OptionError(
            f"{asked.out}: holds {', '.join(others[:MAX_NAMED])}{more}, which is not asked for now, and "
            f"{asked.suite.name}'s scorer would read it. Remove it, or give another --out."
        )
    why = _why_others(asked, run) if there else ""
    if why and not asked.overwrite:
        raise OptionError(
            f"{asked.out}: holds {len(there)} results that are not of what is asked for now ({why}), and they would be "
            "mixed. Give the same as before, another --out, or --overwrite to remove them first."
        )
    return there if why else []


def _why_others(asked: Evaluation, run: Run | None) -> str:
    """Why results that are there are not of what is asked for; "" if they are."""
    before = None if run is None else read_record(run)
    if before is None:
        return f"no {RECORD} in --run says what they are"
    return ", ".join(differences(before, asked.record))


def _require_squares(asked: Evaluation) -> None:
    width, height = asked.planned.plan.width, asked.planned.plan.height
    if asked.suite.has_grids and width != height:
        raise OptionError(
            f"--size is {width}x{height}: {asked.suite.name}'s scorer cuts squares out of each result. "
            f"Give one that is as high as wide, such as {height}x{height}."
        )


def _results_in(store: Store, suite: Suite) -> list[str]:
    with ThreadPoolExecutor(NUM_LISTING, "listing") as pool:
        listed = pool.map(lambda name: list(_results(store, name, set(suite.notes))), store.names(""))
        return [path for paths in listed for path in paths]


def _results(store: Store, path: str, notes: set[str]) -> Iterator[str]:
    """Images and videos at a path and below it."""
    if posixpath.splitext(path)[1] in SUFFIXES.values():
        yield path
    elif path not in notes:
        for name in store.names(path):
            yield from _results(store, f"{path}/{name}", notes)
