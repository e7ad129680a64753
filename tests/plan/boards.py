"""Storyboards as values, and checkpoints to plan them with: planning reads no file."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

from ursa_ray.checkpoint import Checkpoint, Defaults, open_checkpoint
from ursa_ray.plan import Plan, plan_storyboard
from ursa_ray.storyboard import Storyboard

ASSET = "a" * 64


def released(name: str = "BAAI/URSA-1.7B-FSQ320") -> Checkpoint:
    """What the package knows of it: 49 frames with an overlap of 13, 512x320 at 12 frames a second."""
    return open_checkpoint(name)


def tiny(**defaults: Any) -> Checkpoint:
    """The built-in model with sizes that stay when it is trained again."""
    checkpoint = open_checkpoint("tiny")
    sizes = {"width": 96, "height": 64, "fps": Fraction(12), "frames": 17, "overlap": 5, "steps": 10}
    sizes |= {"guidance": 7.0, "max_prompt_length": 64, "trained_sizes": ((96, 64),)}
    return replace(checkpoint, defaults=Defaults(**sizes | defaults))


def board(*shots: dict[str, Any], **top: Any) -> Storyboard:
    """Shots are of 24 frames and of fog unless they say otherwise; they are called s0, s1, ..."""
    raw = []
    for number, shot in enumerate(shots):
        length = {} if "duration" in shot else {"frames": 24}
        raw.append({"id": f"s{number}", "prompt": "fog"} | length | shot)
    return Storyboard.model_validate({"version": 1, "model": "any", "shots": tuple(raw)} | top)


def plan_of(*shots: dict[str, Any], checkpoint: Checkpoint | None = None, asset: str = ASSET, **top: Any) -> Plan:
    """Planned with the released 1.7B model; `asset` is the hash of all images and clips."""
    storyboard = board(*shots, **top)
    assets = {shot.id: asset for shot in storyboard.shots}
    return plan_storyboard(storyboard, checkpoint or released(), assets)
