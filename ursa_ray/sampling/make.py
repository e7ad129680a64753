"""Makes what is missing of a sampling, by the director and the ledger of any render, and its files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ursa_ray.errors import OptionError
from ursa_ray.executor import Executor
from ursa_ray.failed import remove_failures
from ursa_ray.files import ASIDE
from ursa_ray.ledger import SAMPLES, Run, Store, open_store
from ursa_ray.ledger.format import FORMAT_NAME
from ursa_ray.listener import Listener, Several
from ursa_ray.render import begin, make_segments
from ursa_ray.sampling.delivery import Arrived, Delivery
from ursa_ray.sampling.planning import Planned

PROBE = f"{ASIDE}probe"


@dataclass(frozen=True)
class Made:
    """`files` of all samples, in their order, and their `hashes`; what of the segments was generated for them now."""

    files: tuple[str, ...]
    hashes: tuple[str, ...]
    generated_segments: int
    reused_segments: int


def open_results(out: str | Path) -> Store:
    """Where files are to be, made if it is a folder that is not there.

    Raises:
        OptionError: there can be none.
    """
    store = open_store(out)
    try:
        store.put(PROBE, b"")  # nothing else tells of a bucket whether it is there and may be written
        store.remove(PROBE)
        return store
    except OSError as error:
        raise OptionError(f"{store.url}: cannot be written ({error.strerror}). Give another folder.") from error


def require_apart(out: str | None, run: str) -> None:
    """See that results and work do not lie among each other, nor among the work of others.

    `out` is None where results are to be in the run.

    Raises:
        OptionError: they would, or there is no place.
    """
    for option, place in (("--out", out), ("--run", run)):
        if place == "":
            raise OptionError(f"{option} is empty, expected a folder or s3://bucket/prefix.")
    work = PurePosixPath(open_store(run).anywhere)
    if out is not None:
        results = PurePosixPath(open_store(out).anywhere)
        if results.is_relative_to(work) or work.is_relative_to(results):
            raise OptionError(f"--out {out} and --run {run}: one is in the other. Give two places apart.")
        _require_no_run("--out", [results, *results.parents])
    _require_no_run("--run", work.parents)


def _require_no_run(option: str, folders: Sequence[PurePosixPath]) -> None:
    """See that none of these folders is a run; in a bucket that is not looked for, a request for each of them."""
    for folder in folders:
        if folder.is_absolute() and Path(folder, FORMAT_NAME).exists():
            raise OptionError(f"{option}: {folder} is a run, whose work lies there. Give a place outside of it.")


def require_no_film(run: Run) -> None:
    """See that a run is not of a storyboard, whose plan that of samples would replace.

    Raises:
        OptionError: it is.
    """
    if run.storyboard_sha256 is not None or run.last_film is not None:
        raise OptionError(f"{run.url}: is the run of a film, which would be lost sight of. Give another --run.")


def make_samples(
    planned: Planned,
    run: Run,
    executor: Executor,
    listener: Listener | None = None,
    out: str | Path | None = None,
    arrived: Arrived = lambda path, sha256: None,
    prepare: Callable[[], None] = lambda: None,
) -> Made:
    """Make samples that lack, and their files in `out` where they lack or are damaged; files appear as they are made.

    `arrived` is called with path and sha256 of each file as soon as it is there, also from other threads; `prepare`
    before anything is made, when nobody else can work on the run any more.

    Raises:
        OptionError: there can be no files in `out`, or the run is of a film.
        RenderError: some could not be made; all others are committed and written.
        LedgerError: another render works on this run.
        MediaError, OSError: some files could not be written; all others are.
    """
    require_no_film(run)
    plan, listener = planned.plan, listener or Listener()
    store = open_results(run.where(SAMPLES) if out is None else out)
    samples = dict(zip(planned.shots, planned.samples, strict=True))
    paths: dict[str, list[str]] = {}
    for shot, path in dict.fromkeys(zip(planned.shots, planned.paths, strict=True)):
        paths.setdefault(shot, []).append(path)
    with run.locked():
        prepare()
        num_missing = begin(plan, run, listener)
        with Delivery(plan, run, store, paths, samples, arrived) as delivery:
            make_segments(plan, run, executor, Several(listener, delivery), delivery.spared)
        remove_failures(run)
    hashes = {shot.id: run.samples[plan.of(shot).sha256] for shot in plan.shots}
    return Made(
        files=tuple(f"{store.url}/{path}" for path in planned.paths),
        hashes=tuple(hashes[shot] for shot in planned.shots),
        generated_segments=num_missing,
        reused_segments=plan.num_segments - num_missing,
    )
