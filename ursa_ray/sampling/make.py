"""Makes what is missing of a sampling, by the director and the ledger of any render, and its files."""

from dataclasses import dataclass
from pathlib import Path

from ursa_ray.errors import OptionError
from ursa_ray.executor import Executor
from ursa_ray.ledger import SAMPLES, Run, Store, open_store
from ursa_ray.listener import Listener, Several
from ursa_ray.render import begin, make_segments
from ursa_ray.report import remove_report
from ursa_ray.sampling.delivery import Delivery
from ursa_ray.sampling.planning import Planned


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
        with store.writing(""):
            return store
    except OSError as error:
        raise OptionError(f"{store.url}: cannot be written ({error.strerror}). Give another folder.") from error


def make_samples(
    planned: Planned, run: Run, executor: Executor, listener: Listener | None = None, out: str | Path | None = None
) -> Made:
    """Make samples that lack, and their files in `out` where they lack or are damaged; files appear as they are made.

    Raises:
        OptionError: there can be no files in `out`.
        RenderError: some could not be made; all others are committed and written.
        LedgerError: another render works on this run.
        MediaError, OSError: some files could not be written; all others are.
    """
    plan, listener = planned.plan, listener or Listener()
    store = open_results(run.where(SAMPLES) if out is None else out)
    paths: dict[str, list[str]] = {}
    for shot, path in dict.fromkeys(zip(planned.shots, planned.paths, strict=True)):
        paths.setdefault(shot, []).append(path)
    with run.locked():
        num_missing = begin(plan, run, listener)
        with Delivery(plan, run, store, paths) as delivery:
            make_segments(plan, run, executor, Several(listener, delivery), delivery.spared)
        remove_report(run)
    hashes = {shot.id: run.samples[plan.of(shot).sha256] for shot in plan.shots}
    return Made(
        files=tuple(f"{store.url}/{path}" for path in planned.paths),
        hashes=tuple(hashes[shot] for shot in planned.shots),
        generated_segments=num_missing,
        reused_segments=plan.num_segments - num_missing,
    )
