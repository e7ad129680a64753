"""A model that always does as it is told: it reads the prompt and draws it."""

import re
from collections.abc import Iterator

import numpy as np

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.training import world
from ursa_ray.training.world import Scene

WORDS = {
    "shape": {"circle": "circle disc ball", "square": "square box", "triangle": "triangle"},
    "background": {
        "meadow": "meadow hills field",
        "sea": "sea water ocean",
        "night": "night",
        "sunset": "sunset evening",
    },
    "direction": {way: f"{way} {way}wards" for way in world.DIRECTIONS},
}


def scene_of(prompt: str) -> Scene:
    words = set(prompt.replace(",", " ").split())
    found = {
        attribute: next(value for value, names in choices.items() if words & set(names.split()))
        for attribute, choices in WORDS.items()
    }
    nouns = "|".join(WORDS["shape"].values()).replace(" ", "|")
    colour = re.findall(rf"(\w+) (?:{nouns})", prompt)[0]
    speed = world.speed_of(float(prompt.removeprefix("motion=").split(",")[0]))
    step = np.array(world.DIRECTIONS[found["direction"]])
    x, y = np.array((32, 24)) - 8 * speed * step
    return Scene(colour, speed=speed, start=(float(x), float(y)), **found)


class DrawingModel:
    """Its codes are frames; a condition is gone on from at the frame where the last clip ended."""

    def __init__(self):
        self.checkpoint = open_checkpoint("tiny")
        self._stop = 0

    def generate(self, prompt: str, seed: int = 0, **options: object) -> np.ndarray:
        return world.draw(scene_of(prompt))

    def generate_steps(
        self, prompt: str, negative_prompt: str, *, video: np.ndarray | None, num_frames: int, **options: object
    ) -> Iterator[tuple[int, np.ndarray]]:
        first = 0 if video is None else self._stop - len(video)
        self._stop = first + num_frames
        yield 1, world.draw(scene_of(prompt), num_frames, first_frame=first)

    def encode(self, frames: np.ndarray) -> np.ndarray:
        return frames

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return codes


class StillModel(DrawingModel):
    """Shows the first frame for ever."""

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return np.repeat(codes[:1], len(codes), axis=0)
