"""What `image`, `video` and `evaluate` do alike: mistakes are found before anything is written, then samples made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ursa_ray.cli.options import LogFormatChoice
from ursa_ray.cli.output import few, warn
from ursa_ray.cli.replicas import Replicas, log_for, metrics_of, require_lasting_in_a_job

if TYPE_CHECKING:
    from ursa_ray.executor import Executor
    from ursa_ray.ledger import Run
    from ursa_ray.listener import Listener
    from ursa_ray.sampling import Made, Planned, Sample, Settings


@dataclass(frozen=True)
class Sampling:
    """What to make and where: results in `out`, None for in the run, and the work in `run`; the rest is of a plan."""

    samples: "Sequence[Sample]"
    settings: "Settings"
    run: str
    out: str | None
    cuts_prompts: bool = False


@dataclass(frozen=True)
class Finished:
    planned: "Planned"
    run: "Run"
    made: "Made"


def make_with(
    asked: Sampling,
    replicas: Replicas,
    log_format: LogFormatChoice,
    open_out: "Callable[[str, Planned, Run | None], object]",
    make: "Callable[[Planned, Run, Executor, Listener], Made]",
) -> Finished:
    """Check all that is asked for, `open_out` where results go, and `make` them."""
    from ursa_ray.ledger import Run
    from ursa_ray.listener import Several
    from ursa_ray.model import check_weights
    from ursa_ray.sampling import plan_samples, require_no_film

    _require_places(asked)
    log = log_for(log_format, asked.run)
    found = Run.find(asked.run)
    if found is not None:
        require_no_film(found)
    planned = plan_samples(asked.samples, asked.settings, fetch=True, cuts_prompts=asked.cuts_prompts)
    warn(few(planned.warnings))
    executor = replicas.executor(planned.plan, asked.run)
    check_weights(planned.checkpoint)
    if asked.out is not None:
        open_out(asked.out, planned, found)
    run = found or Run.create(asked.run)
    with log as told:
        made = make(planned, run, executor, Several(told, *metrics_of(executor, asked.run)))
    return Finished(planned, run, made)


def _require_places(asked: Sampling) -> None:
    from ursa_ray.sampling import require_apart

    require_lasting_in_a_job(asked.run)
    if asked.out is not None:
        require_lasting_in_a_job(asked.out, "--out")
    require_apart(asked.out, asked.run)
