"""What is behind a film or an instant of it, in few words, for people and for machines."""

from fractions import Fraction
from typing import Any

from ursa_ray.explain import Explained, Instant
from ursa_ray.plan import ClipCondition, Condition, ImageCondition, ParentCondition, Plan, PlannedShot, Segment
from ursa_ray.plan.segments import DECIDE
from ursa_ray.provenance import Provenance
from ursa_ray.wording import count_of, printable, seconds_text

# Of a segment, beside prompt and seed; by their names in `Segment`.
SETTINGS = tuple(name for name in DECIDE if name not in ("prompt", "negative_prompt", "seed"))


def explained_summary(explained: Explained) -> dict[str, Any]:
    provenance, plan, file = explained.provenance, explained.provenance.plan, explained.provenance.file
    return {
        "film": explained.name,
        "title": plan.title,
        "model": plan.model,
        "weights_sha256": plan.weights_sha256,
        "plan_sha256": plan.sha256,
        "versions": provenance.versions,
        "codec": file.codec,
        "width": file.width,
        "height": file.height,
        "fps": float(file.fps),
        "num_frames": file.num_frames,
        "retime": file.retime,
        "asked_seed": provenance.seed,
        "run": None if explained.run is None else explained.run.url,
        "is_exact": explained.is_exact,
        "misfit": explained.misfit,
        "segments": [segment_summary(segment, film) for film in _films(explained) for segment in film.segments]
        if explained.instant is None
        else None,
        "instant": None if explained.instant is None else _instant_summary(explained.instant, provenance),
    }


def _films(explained: Explained) -> list[Plan]:
    """Of single results each is a film of its own."""
    plan = explained.provenance.plan
    return [plan.of(shot) for shot in plan.shots] if explained.is_sampling else [plan]


def segment_summary(segment: Segment, plan: Plan) -> dict[str, Any]:
    return {
        "segment": segment.name,
        "shot": segment.shot,
        "index": segment.index,
        "take": segment.take + 1,
        "key": segment.key,
        "prompt": segment.prompt,
        "negative_prompt": segment.negative_prompt,
        "seed": segment.seed,
        "settings": {name: getattr(segment, name) for name in SETTINGS},
        "conditioned_on": condition_text(segment.condition, plan),
        "film_frames": list(segment.film),
    }


def explained_text(explained: Explained) -> str:
    provenance, plan, file = explained.provenance, explained.provenance.plan, explained.provenance.file
    lasts = seconds_text(Fraction(file.num_frames) / file.fps)
    size = f"{file.width}x{file.height}"
    form = (
        f"{count_of(file.num_frames, 'frame')}, {lasts}, {size}, {count_of(file.fps, 'frame')} a second, {file.codec}"
    )
    form = f"image, {size}" if file.codec == "png" else form
    lines = [
        f"{count_of(len(plan.shots), 'single result')}, {size}"
        if explained.is_sampling
        else f"{plan.title or 'untitled'}: {form}",
        f"model: {plan.model}, weights {plan.weights_sha256}",
        f"plan: {plan.sha256}",
    ]
    if provenance.versions:
        lines.append("made with: " + ", ".join(f"{name} {words}" for name, words in provenance.versions.items()))
    if provenance.seed is not None:
        lines.append(f"asked for with: --seed {provenance.seed}, which the seeds of segments are drawn from")
    if explained.is_sampling:
        return printable([*lines, *(f"{shot.id}: {_shot_words(shot)}" for shot in plan.shots)])
    if not explained.is_exact:
        lines.append("not joined yet, or by an older ursa-ray: a segment may begin a few frames earlier than is said")
    if explained.misfit is not None:
        lines.append(f"warning: the file {explained.misfit}")
    if explained.instant is not None:
        return printable([*lines, *_instant_lines(explained.instant, provenance)])
    lines += _shot_lines(plan)
    if explained.misfit is None:
        lines.append("Add @TIME for what is behind an instant: FILM@12.5s or FILM@#150.")
    return printable(lines)


def _shot_lines(plan: Plan) -> list[str]:
    lines, start = [], 0
    for shot in plan.shots:
        span = f"{seconds_text(start / plan.fps)} to {seconds_text((start + shot.num_frames) / plan.fps)}"
        lines.append(f"{shot.id}: {span}, {_shot_words(shot)}")
        start += shot.num_frames
    return lines


def _shot_words(shot: PlannedShot) -> str:
    return f"{count_of(len(shot.segments), 'segment')}, {shot.segments[0].prompt}"


def _instant_summary(instant: Instant, provenance: Provenance) -> dict[str, Any]:
    commit = instant.commit
    made = ("device", "dtype", "num_threads", "backends", "seconds", "version", "replica", "node", "finished")
    return {
        "frame": instant.frame,
        "seconds": float(instant.frame / provenance.file.fps),
        "film_frame": instant.film_frame,
        "segment_frame": instant.segment_frame,
        **segment_summary(instant.segment, provenance.plan),
        "made": None if commit is None else {name: getattr(commit, name) for name in made},
    }


def _instant_lines(instant: Instant, provenance: Provenance) -> list[str]:
    segment = instant.segment
    film = "" if instant.film_frame == instant.frame else f", frame {instant.film_frame} of the film as planned"
    lines = [
        f"at {seconds_text(instant.frame / provenance.file.fps)}: frame {instant.frame}{film}",
        f"segment: {segment.name}, frame {instant.segment_frame} of {segment.num_frames}"
        + (f", take {segment.take + 1}" if segment.take else ""),
        f"prompt: {segment.prompt}",
        f"negative prompt: {segment.negative_prompt or 'none'}",
        f"seed: {segment.seed}",
        "settings: " + ", ".join(f"{name} {getattr(segment, name)}" for name in SETTINGS),
        f"conditioned on: {condition_text(segment.condition, provenance.plan) or 'nothing'}",
        f"key: {segment.key}",
    ]
    if instant.commit is not None:
        lines.append(made_text(instant))
    return lines


def made_text(instant: Instant) -> str:
    commit = instant.commit
    assert commit is not None
    where = [commit.device, commit.dtype, commit.backends, commit.node and f"{commit.node} ({commit.replica})"]
    took = None if commit.seconds is None else f"{commit.seconds:.1f} s"
    with_version = None if commit.version is None else f"ursa-ray {commit.version}"
    when = None if commit.finished is None else f"finished {commit.finished}"
    return "made: " + ", ".join(filter(None, [*where, took, with_version, when]))


def condition_text(condition: Condition | None, plan: Plan) -> str | None:
    """What conditions a segment, without a path; None if nothing does."""
    match condition:
        case None:
            return None
        case ParentCondition():
            return f"{plan.by_key[condition.key].name}, its frames {condition.start} to {condition.stop - 1}"
        case ImageCondition():
            return f"an image, sha256 {condition.sha256}"
        case ClipCondition():
            return f"the last {condition.num_frames} frames of a clip at {condition.fps}, sha256 {condition.sha256}"
