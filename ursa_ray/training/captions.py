"""What is said about a scene of the drawn world: one caption of many, and the words of them all."""

import itertools
import re
from collections.abc import Iterator

import numpy as np

from ursa_ray.training import world
from ursa_ray.training.world import Scene

# The first of each is the canonical one.
_NOUNS = {"circle": ("circle", "disc", "ball"), "square": ("square", "box"), "triangle": ("triangle",)}
_VERBS = ("moves", "glides", "drifts", "travels", "goes")
_ADVERBS = {"slow": ("slowly", "gently"), "steady": ("steadily", "calmly"), "fast": ("quickly", "fast")}
_WAYS = {
    "right": ("to the right", "rightwards"),
    "left": ("to the left", "leftwards"),
    "up": ("up", "upwards"),
    "down": ("down", "downwards"),
}
_PLACES = {
    "meadow": ("over a green meadow", "over green hills", "across a green field"),
    "sea": ("over a blue sea", "above the blue water", "across the blue ocean"),
    "night": ("through a starry night", "across the dark night sky", "under the stars at night"),
    "sunset": ("at sunset", "in the evening light", "in front of an orange sunset"),
}
_TEMPLATES = (
    "a {colour} {noun} {verb} {adverb} {way} {place}",
    "the {colour} {noun} {verb} {adverb} {way} {place}",
    "a {colour} {noun} {verb} {way} {adverb} {place}",
    "a {colour} {noun} {verb} {way} {place}",
    "{place}, a {colour} {noun} {verb} {adverb} {way}",
    "{place} a {colour} {noun} {verb} {way}",
)
_STORYBOARD_WORDS = """turns turning and then rests stops stands still falls rises into out of back comes returns on it
its with while no not moving small large slow day river grass water waves sky blurry distorted worst low quality
inconsistent motion static jittery ugly white black"""


def canonical_caption(scene: Scene) -> str:
    """`motion=3.0, a red square moves slowly to the right over a green meadow`."""
    return _fill(scene, _TEMPLATES[0], *(words[0] for words in _choices(scene)))


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of many ways to say what `canonical_caption` says."""
    template, *words = (words[rng.integers(len(words))] for words in (_TEMPLATES, *_choices(scene)))
    return _fill(scene, template, *words)


def words_of(text: str) -> list[str]:
    """Words, numbers and punctuation marks: `motion=3.0,` is `motion = 3 . 0 ,`."""
    return re.findall(r"[a-z]+|\d|[^\w\s]", text.lower())


def _choices(scene: Scene) -> tuple[tuple[str, ...], ...]:
    pace = "slow" if scene.motion < 4.5 else "steady" if scene.motion < 7.5 else "fast"
    return _NOUNS[scene.shape], _VERBS, _ADVERBS[pace], _WAYS[scene.direction], _PLACES[scene.background]


def _fill(scene: Scene, template: str, noun: str, verb: str, adverb: str, way: str, place: str) -> str:
    text = template.format(colour=scene.colour, noun=noun, verb=verb, adverb=adverb, way=way, place=place)
    return f"motion={scene.motion:.1f}, {text}"


def _phrases() -> Iterator[str]:
    yield from (re.sub(r"{\w+}", "", template) for template in _TEMPLATES)
    yield from (*world.COLOURS, *_VERBS, _STORYBOARD_WORDS, "motion = 0 1 2 3 4 5 6 7 8 9 . , ; : ! ? -")
    for phrases in (_NOUNS, _ADVERBS, _WAYS, _PLACES):
        yield from itertools.chain(*phrases.values())


VOCABULARY = tuple(sorted({word for phrase in _phrases() for word in words_of(phrase)}))
