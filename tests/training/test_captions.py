from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.training.test_world import SCENE, scenes
from ursa_ray.training.captions import VOCABULARY, canonical_caption, caption, words_of


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_a_canonical_caption_reads_as_a_storyboard_does():
    scene = replace(SCENE, speed=1.0)
    assert canonical_caption(scene) == "motion=3.0, a red square moves slowly to the right over a green meadow"


def test_captions_say_what_the_scene_is(rng: np.random.Generator):
    for scene in scenes("train", 300):
        said = caption(scene, rng)
        assert said.startswith(f"motion={scene.motion:.1f}, ")
        assert scene.colour in said and scene.direction in said


def test_captions_vary(rng: np.random.Generator):
    assert len({caption(SCENE, rng) for _ in range(200)}) > 100


def test_the_vocabulary_holds_all_words_of_captions_and_no_word_twice(rng: np.random.Generator):
    used = {word for scene in scenes("train", 2000) for word in words_of(caption(scene, rng))}
    assert used <= set(VOCABULARY)
    assert max(Counter(VOCABULARY).values()) == 1
    assert len(VOCABULARY) < 200
