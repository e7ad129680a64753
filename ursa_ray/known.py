"""What is known of a run once it has a plan: whether there is a film, and what that says of itself.

For all that is asked about a film afterwards: to explain it, to measure it, to report on it, to export it.
"""

from pathlib import Path

from ursa_ray.errors import OptionError
from ursa_ray.ledger import SAMPLES, Run
from ursa_ray.plan import Plan
from ursa_ray.provenance import Encoded, Provenance, read_provenance


def planned_run(url: str) -> tuple[Run, Plan]:
    """A run and its plan.

    Raises:
        OptionError: it is no run, or has no plan.
        LedgerError: it is damaged.
    """
    run = Run.open(url)
    plan = run.plan()
    if plan is None:
        raise OptionError(f"{run.url}: nothing is planned here yet. Render a storyboard first.")
    return run, plan


def filmed_run(url: str) -> tuple[Run, Plan]:
    """As `planned_run`, but a run that will never have a film is refused."""
    run, plan = planned_run(url)
    require_film(run)
    return run, plan


def require_film(run: Run) -> None:
    """Refuse a run that will never have a film."""
    if run.is_sampling:
        raise OptionError(
            f"{run.url}: is of single images or videos, which lie in {SAMPLES}/ or where --out said; of all of them "
            f"there is no film. What each is made of says: ursa-ray explain {run.url}"
        )


def said_by(film: Path, plan: Plan) -> Provenance | None:
    """What the film of a plan says, if it says anything and that it is of this plan."""
    try:
        found = read_provenance(film)
    except OptionError:
        return None
    return found if found.plan.sha256 == plan.sha256 else None


def planned(plan: Plan) -> Provenance:
    """What is known before a film is joined: segments begin as planned, or a few frames earlier."""
    encoded = Encoded("none yet", plan.width, plan.height, plan.fps, plan.num_frames)
    return Provenance(plan, tuple(segment.film[0] for segment in plan.segments), encoded, {})
