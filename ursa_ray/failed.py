"""What failed in a render, in the run itself: `report.json`, for `ursa-ray status` and for whoever mends it."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from ursa_ray.errors import LedgerError, RenderError
from ursa_ray.ledger import Run, Store
from ursa_ray.plan import Plan
from ursa_ray.schedule import Failure, Schedule

REPORT = "report.json"


def failure(plan: Plan, run: Run, schedule: Schedule) -> RenderError:
    """What to tell whoever renders; the run keeps all of it, unless its disk is full, which is told then."""
    report = _report(plan, run, schedule)
    shots = {failed["shot"] for failed in report["failed"]}
    lines = [f"  {failed['segment']}: {failed['reason']}" for failed in report["failed"]]
    try:
        run.store.put(REPORT, json.dumps(report | {"sha256": _sha256(report)}, indent=1).encode())
    except OSError as error:
        lines.append(f"{run.where(REPORT)}: cannot be written ({error.strerror}), so `ursa-ray status` shows less.")
    return RenderError(
        f"{', '.join(sorted(shots))} failed; {report['num_committed']} of {plan.num_segments} segments are committed "
        f"in {run.url}:\n" + "\n".join(lines) + "\nMend the cause and render again: it goes on from there."
    )


def read_failures(run: Run) -> dict[str, Any] | None:
    """The report of the plan that the run is of, if something of it failed.

    Raises:
        LedgerError: the report is damaged.
    """
    report = load_failures(run.store)
    return report if report is not None and report["plan"] == run.plan_sha256 else None


def load_failures(store: Store) -> dict[str, Any] | None:
    """What is written of any plan, if it is whole; raises like `read_failures`."""
    try:
        content = store.read(REPORT)
    except FileNotFoundError:
        return None
    try:
        report = json.loads(content)
        is_whole = report.pop("sha256") == _sha256(report)
    except (ValueError, KeyError, AttributeError, TypeError):
        report, is_whole = {}, False
    if not is_whole:
        raise LedgerError(f"{store.url}/{REPORT}: is damaged. Remove it, or render again.")
    return report


def remove_failures(run: Run) -> None:
    run.store.remove(REPORT)


def attempts(schedule: Schedule, key: str) -> list[dict[str, str]]:
    """What became of the attempts at a segment that failed, oldest first."""
    return [_attempt(failure) for failure in schedule.attempts.get(key, ())]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _report(plan: Plan, run: Run, schedule: Schedule) -> dict[str, Any]:
    """Which segments were given up, after which attempts, and which others wait for them."""
    failed = [
        {
            "segment": plan.by_key[key].name,
            "shot": plan.by_key[key].shot,
            "key": key,
            "reason": reason,
            "attempts": attempts(schedule, key),
        }
        for key, reason in schedule.failures.items()
    ]
    waiting = [s for s in plan.segments if s.key not in run.segments and s.key not in schedule.failures]
    return {
        "written": now(),
        "plan": plan.sha256,
        "num_committed": sum(s.key in run.segments for s in plan.segments),
        "num_segments": plan.num_segments,
        "failed": failed,
        "waiting": [segment.name for segment in waiting],
    }


def _attempt(failure: Failure) -> dict[str, str]:
    return {
        "when": failure.when,
        "replica": failure.place.replica,
        "node": failure.place.node,
        "kind": type(failure.error).__name__,
        "error": str(failure.error),
    }


def _sha256(report: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()
