"""Films of one scene, planned and made as the pipeline does: segments, each conditioned on the end of the last."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ursa_ray.media import cut_film
from ursa_ray.plan import ParentCondition, Plan, Segment, plan_storyboard
from ursa_ray.storyboard import Segment as SegmentSettings
from ursa_ray.storyboard import Settings, Shot, Storyboard
from ursa_ray.training import world
from ursa_ray.training.captions import caption
from ursa_ray.training.world import Scene

if TYPE_CHECKING:
    from ursa_ray.checkpoint import Checkpoint
    from ursa_ray.model import Ursa


@dataclass(frozen=True)
class Take:
    """What is filmed: a scene, what is said about it, and the seed."""

    scene: Scene
    prompt: str
    """As the model reads it, beginning with `motion=`."""
    seed: int


def sample_take(rng: np.random.Generator, seed: int, background: str | None = None) -> Take:
    """A held-out prompt, of any background or of a certain one."""
    while True:
        scene = world.sample_scene(rng, "held-out")
        if background in (None, scene.background):
            return Take(scene, caption(scene, rng), seed)


def sample_takes(num: int, seed: int) -> list[Take]:
    rng = np.random.default_rng(seed)
    return [sample_take(rng, seed + index) for index in range(num)]


def plan_take(
    checkpoint: "Checkpoint",
    take: Take,
    num_frames: int,
    join: Literal["agreeing", "restored", "published"] | None = None,
    **settings: Any,
) -> Plan:
    """A film of one shot; what is not in `settings` is the pipeline's default."""
    shot = Shot(id="take", prompt=take.prompt.partition(", ")[2], motion=take.scene.motion, frames=num_frames)
    storyboard = Storyboard(
        version=1,
        model=checkpoint.name,
        defaults=Settings(seed=take.seed, **settings),
        segment=SegmentSettings(join=join),
        shots=(shot,),
    )
    return plan_storyboard(storyboard, checkpoint, {})


def chain_frames(checkpoint: "Checkpoint", num_extensions: int) -> int:
    """How long a film of one segment and its extensions is."""
    defaults = checkpoint.defaults
    return defaults.frames + num_extensions * (defaults.frames - defaults.overlap)


def make_segments(ursa: "Ursa", plan: Plan) -> list[np.ndarray]:
    """Frames of every segment, uint8 (frames, height, width, 3), those included that the film does not show."""
    from ursa_ray.work import generate_segment

    segments: list[np.ndarray] = []
    for segment in plan.segments:
        *_, (_, codes) = generate_segment(ursa, segment, given_to(segment, segments))
        segments.append(ursa.decode(codes))
    return segments


def given_to(segment: Segment, segments: list[np.ndarray]) -> np.ndarray | None:
    """The frames that condition a segment of a shot; `segments` are those before."""
    if segment.condition is None:
        return None
    assert isinstance(segment.condition, ParentCondition), segment.name
    return segments[-1][segment.condition.start : segment.condition.stop]


def cut(plan: Plan, segments: list[np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """The film, and the first frames in it of the segments that go on after another."""
    by_key = {segment.key: frames for segment, frames in zip(plan.segments, segments, strict=True)}
    film = list(cut_film(plan, lambda segment, start, stop: iter(by_key[segment.key][start:stop])))
    numbers = np.array([number for number, _ in film])
    return np.stack([frame for _, frame in film]), (np.flatnonzero(np.diff(numbers)) + 1).tolist()
