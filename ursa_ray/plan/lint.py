"""What a storyboard may ask for, but its author should know."""

from collections.abc import Iterator

from ursa_ray.checkpoint import Checkpoint
from ursa_ray.plan.motion import split_motion
from ursa_ray.plan.segments import ParentCondition, Plan, PlannedShot
from ursa_ray.storyboard import Storyboard

# Published films drift after about 12 joined segments; with 6 most still hold.
MAX_CHAIN = 6


def lint(storyboard: Storyboard, checkpoint: Checkpoint, plan: Plan) -> list[str]:
    """Warnings, each with its place in the file; none keeps the film from being made."""
    return [
        *_size(storyboard, checkpoint, plan),
        *_rate(storyboard, checkpoint, plan),
        *_shots(storyboard, plan),
    ]


def _size(storyboard: Storyboard, checkpoint: Checkpoint, plan: Plan) -> Iterator[str]:
    sizes = checkpoint.defaults.trained_sizes
    if sizes and (plan.width, plan.height) not in sizes:
        known = ", ".join(f"{width}x{height}" for width, height in sizes)
        where = storyboard.where("video")
        yield f"{where}: {plan.width}x{plan.height} is not a size that the model was trained for ({known})."


def _rate(storyboard: Storyboard, checkpoint: Checkpoint, plan: Plan) -> Iterator[str]:
    if plan.fps != checkpoint.defaults.fps:
        yield (
            f"{storyboard.where('video', 'fps')}: the model was trained at {checkpoint.defaults.fps} frames a second; "
            f"at {plan.fps} everything moves {float(plan.fps / checkpoint.defaults.fps):.2g} times as fast."
        )


def _shots(storyboard: Storyboard, plan: Plan) -> Iterator[str]:
    depth: dict[str, int] = {}
    for segment in plan.segments:
        depth[segment.key] = 1 + (depth[segment.parent] if segment.parent is not None else 0)
    for number, (shot, planned) in enumerate(zip(storyboard.shots, plan.shots, strict=True)):
        if shot.duration is not None and shot.duration * plan.fps != planned.num_frames:
            where = storyboard.where_in(number, "duration")
            yield f"{where}: its duration is not a whole number of frames; it gets {planned.num_frames}."
        yield from _unheard(storyboard, number, planned)
        chain, first = depth[planned.segments[-1].key], planned.segments[0].condition
        before = depth[first.key] if isinstance(first, ParentCondition) else 0
        if chain > MAX_CHAIN >= before:
            where = storyboard.where_in(number)
            yield f"{where} ends a chain of {chain} segments; pictures drift in chains longer than {MAX_CHAIN}."


def _unheard(storyboard: Storyboard, number: int, planned: PlannedShot) -> Iterator[str]:
    """Prompts of a shot that no segment follows: each follows the one in force in the middle of its new frames."""
    shot = storyboard.shots[number]
    if not shot.beats:
        return
    followed = {split_motion(segment.prompt)[1] for segment in planned.segments}
    places = {(): shot.prompt} | {("beats", i, "prompt"): beat.prompt for i, beat in enumerate(shot.beats)}
    for place, prompt in places.items():
        if prompt not in followed:
            where = storyboard.where_in(number, *(place or ("prompt",)))
            name = f"beats[{place[1]}]" if place else "its prompt"
            longest = max(segment.shown[1] - segment.shown[0] for segment in planned.segments)
            yield (
                f"{where}: {name} is never followed: a prompt changes between segments, "
                f"which are up to {longest} frames long here. Keep beats further apart."
            )
