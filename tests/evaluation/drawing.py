"""A model that always does as it is told: it reads the prompt and draws it."""

import re

import numpy as np

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
    def generate(self, prompt: str, seed: int = 0) -> str:
        return prompt

    def decode(self, codes: str) -> np.ndarray:
        return world.draw(scene_of(codes))


class StillModel(DrawingModel):
    """Shows the first frame for ever."""

    def decode(self, codes: str) -> np.ndarray:
        return np.repeat(super().decode(codes)[:1], 17, axis=0)
