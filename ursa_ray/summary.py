"""Plans, renders and runs in few words, for people and for machines."""

from typing import TYPE_CHECKING, Any

from ursa_ray.failed import read_failures
from ursa_ray.ledger import FILM, Run
from ursa_ray.plan import Difference, Plan
from ursa_ray.plan.cost import H200_FLOPS_PER_S
from ursa_ray.underway import Underway
from ursa_ray.wording import count_of

if TYPE_CHECKING:  # it would load torch
    from ursa_ray.export import Exported
    from ursa_ray.render import Rendered
    from ursa_ray.sampling import Made, Planned


def plan_summary(plan: Plan) -> dict[str, Any]:
    num_critical, critical_flops = plan.critical_path
    return {
        "title": plan.title,
        "model": plan.model,
        "num_frames": plan.num_frames,
        "num_segments": plan.num_segments,
        "fps": float(plan.fps),
        "seconds": plan.seconds,
        "width": plan.width,
        "height": plan.height,
        "flops": plan.flops,
        "critical_path_segments": num_critical,
        "critical_path_flops": critical_flops,
        "sha256": plan.sha256,
        "shots": [
            {"id": shot.id, "num_frames": shot.num_frames, "num_segments": len(shot.segments)} for shot in plan.shots
        ],
    }


def plan_text(plan: Plan) -> str:
    rows = [("shot", "segments", "frames", "seconds")]
    rows += [
        (shot.id, str(len(shot.segments)), str(shot.num_frames), f"{float(shot.num_frames / plan.fps):.1f}")
        for shot in plan.shots
    ]
    rows.append(("film", str(plan.num_segments), str(plan.num_frames), f"{plan.seconds:.1f}"))
    num_critical, critical_flops = plan.critical_path
    lines = [
        f"{plan.title or 'untitled'}: {plan.width}x{plan.height}, {plan.fps} frames a second, {plan.model}",
        *_table(rows),
        f"work: {plan.flops / 1e15:.3g} PFLOP, {_h200(plan.flops)}",
        f"longest chain: {count_of(num_critical, 'segment')}, {_h200(critical_flops)}, however many replicas there are",
    ]
    return "\n".join(lines)


def difference_summary(run: str, is_there: bool, found: Difference) -> dict[str, Any]:
    return {
        "run": run,
        "is_there": is_there,
        "num_kept": found.num_kept,
        "num_new": found.num_new,
        "num_unused": found.num_unused,
        "flops_new": found.flops,
        "shots": [
            {
                "id": shot.id,
                "num_segments": shot.num_segments,
                "num_kept": shot.num_kept,
                "num_new": len(shot.new),
                "flops_new": shot.flops,
                "reasons": list(shot.reasons),
            }
            for shot in found.shots
        ],
    }


def difference_text(run: str, is_there: bool, found: Difference) -> str:
    """What a run has already of a plan, what is new, and why."""
    rows = [("shot", "segments", "kept", "new")]
    rows += [(shot.id, str(shot.num_segments), str(shot.num_kept), str(len(shot.new))) for shot in found.shots]
    rows.append(("film", str(found.num_kept + found.num_new), str(found.num_kept), str(found.num_new)))
    reasons = ["why" if found.num_new else "", *("; ".join(shot.reasons) for shot in found.shots), ""]
    has = f"has {found.num_kept} of these {count_of(found.num_kept + found.num_new, 'segment')}"
    lines = [f"{run} {has if is_there else 'is not there yet: all is new'}"]
    lines += [f"{line}  {reason}".rstrip() for line, reason in zip(_table(rows), reasons, strict=True)]
    if found.num_unused:
        lines.append(f"unused: {count_of(found.num_unused, 'segment')} of other versions stay in the run")
    cost = f"{found.flops / 1e15:.3g} PFLOP, {_h200(found.flops)}"
    lines.append(f"new work: {count_of(found.num_new, 'segment')}, {cost}" if found.num_new else "nothing is new")
    return "\n".join(lines)


def render_summary(rendered: "Rendered") -> dict[str, Any]:
    return {
        "film": rendered.film,
        "sha256": rendered.sha256,
        "num_frames": rendered.num_frames,
        "generated_segments": rendered.generated_segments,
        "reused_segments": rendered.reused_segments,
    }


def samples_summary(run: str, planned: "Planned", made: "Made") -> dict[str, Any]:
    of_samples = zip(planned.samples, planned.shots, made.files, made.hashes, strict=True)
    return {
        "run": run,
        "samples": [
            {"file": file, "sha256": sha256, "prompt": sample.prompt, "seed": sample.seed, "shot": shot}
            for sample, shot, file, sha256 in of_samples
        ],
        "generated_segments": made.generated_segments,
        "reused_segments": made.reused_segments,
    }


def export_summary(exported: "Exported") -> dict[str, Any]:
    film = exported.film
    return {
        "film": str(exported.path),
        "codec": exported.codec,
        "sha256": exported.sha256,
        "size_bytes": exported.size_bytes,
        "num_frames": film.num_frames,
        "fps": float(film.fps),
        "seconds": float(film.num_frames / film.fps),
        "width": film.width,
        "height": film.height,
        "decoded_segments": exported.decoded_segments,
        "differing_segments": exported.differing_segments,
    }


def export_text(exported: "Exported") -> str:
    film = exported.film
    return (
        f"{exported.path}: {exported.codec}, {film.width}x{film.height}, {count_of(film.num_frames, 'frame')}, "
        f"{float(film.num_frames / film.fps):.1f} s, {exported.size_bytes / 1e6:.1f} MB"
    )


def run_summary(run: Run) -> dict[str, Any]:
    """The same keys also of a run in which nothing is planned yet."""
    plan, film = run.plan(), run.last_film
    shots = () if plan is None else plan.shots
    counts = [
        {
            "id": shot.id,
            "num_segments": len(shot.segments),
            "num_committed": sum(segment.key in run.segments for segment in shot.segments),
        }
        for shot in shots
    ]
    is_done = film is not None and film.key == run.plan_sha256 and run.store.exists(FILM)
    return {
        "title": None if plan is None else plan.title,
        "num_frames": sum(shot.num_frames for shot in shots),
        "num_segments": sum(shot["num_segments"] for shot in counts),
        "num_committed": sum(shot["num_committed"] for shot in counts),
        "seconds_spent": sum(commit.seconds or 0.0 for commit in run.segments.values()),
        "shots": counts,
        "takes": {name: take + 1 for name, take in sorted(run.takes.items()) if take},
        "film": run.where(FILM) if is_done else None,
        "num_samples": None if plan is None else sum(plan.of(shot).sha256 in run.samples for shot in plan.shots),
        "failed": _failed(run),
    }


def run_text(summary: dict[str, Any]) -> str:
    if not summary["shots"]:
        return "nothing is planned here yet"
    rows = [("shot", "committed", "segments")]
    rows += [(shot["id"], str(shot["num_committed"]), str(shot["num_segments"])) for shot in summary["shots"]]
    rows.append(("film", str(summary["num_committed"]), str(summary["num_segments"])))
    lines = _table(rows)
    if summary["takes"]:
        lines.append("takes: " + ", ".join(f"{name} {take}" for name, take in summary["takes"].items()))
    if summary["num_samples"]:
        lines.append(f"samples: {summary['num_samples']} of {len(summary['shots'])} written")
    else:
        lines.append(f"film: {summary['film'] or 'not joined yet'}")
    for failed in summary["failed"]:
        lines.append(f"{failed['segment']} failed: {failed['reason']}")
        lines += [
            f"  {attempt['when']} {attempt['kind']}: {attempt['error']} (replica {attempt['replica']} "
            f"on {attempt['node']})"
            for attempt in failed["attempts"]
        ]
    return "\n".join(lines)


def underway_text(underway: Underway) -> str:
    """Empty if nobody renders and nothing is begun."""
    left = underway.seconds_left
    lines = [
        f"{begun.segment}: step {begun.num_done} of {begun.num_steps}"
        f"{f', preview: {begun.preview}' if begun.preview else ''}"
        for begun in underway.begun
    ]
    if underway.rendered_by is not None:
        pace = "" if left is None else f", about {format_time(left)} left at this pace"
        lines.insert(0, f"rendered by {underway.rendered_by}{pace}")
    elif lines:
        lines.insert(0, "begun, but nobody renders now:")
    return "\n".join(lines)


def _failed(run: Run) -> list[dict[str, Any]]:
    """What the last render gave up and no later one has made."""
    report = read_failures(run)
    return [] if report is None else [failed for failed in report["failed"] if failed["key"] not in run.framed()]


def format_time(seconds: float) -> str:
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _h200(flops: float) -> str:
    return f"{format_time(flops / H200_FLOPS_PER_S)} of an H200 (predicted)"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns aligned: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
