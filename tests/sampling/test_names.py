"""What shots and runs are called, which decides seeds and what is found again."""

import re

import pytest

from ursa_ray.sampling import Sample, Settings, run_name
from ursa_ray.sampling.names import file_name, shot_name
from ursa_ray.storyboard import Shot

IMAGES = Settings("image")


@pytest.mark.parametrize("prompt", ["a bear", "", "🐻", "x" * 10_000, "../..", "ÄÖÜ straße", "\0\n", "-" * 80])
@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_every_prompt_and_seed_name_a_shot(prompt, seed):
    name = shot_name(Sample(prompt, seed), None)
    assert Shot(id=name, prompt="x", frames=1).id == name
    assert name.endswith(f"-{seed}")


def test_a_name_shows_the_first_words_without_accents():
    assert re.fullmatch("ein-bar-im-nebel-[0-9a-f]{10}-7", shot_name(Sample("Ein Bär, im Nebel!", 7), None))


def test_a_name_tells_prompts_seeds_and_conditions_apart_and_nothing_else():
    samples = [
        (Sample("a bear"), None),
        (Sample("a Bear"), None),
        (Sample("a bear", 1), None),
        (Sample("a bear"), "ff"),
    ]
    assert len({shot_name(*sample) for sample in samples}) == 4
    assert shot_name(Sample("a bear", path="x.png", where="a.txt:9"), None) == shot_name(Sample("a bear"), None)


def test_a_file_is_of_its_prompt_seed_condition_and_settings_and_begins_as_its_shot_does():
    names = [
        file_name(Sample("a bear"), None, IMAGES),
        file_name(Sample("a bear"), None, Settings("image", steps=9)),
        file_name(Sample("a bear", 1), None, IMAGES),
        file_name(Sample("a bear"), "ff", IMAGES),
    ]
    assert len(set(names)) == 4
    assert re.fullmatch(f"{shot_name(Sample('a bear'), None)}-[0-9a-f]{{10}}", names[0])


def test_a_run_is_of_its_prompts_and_settings():
    settings = [
        IMAGES,
        Settings("video"),
        Settings("image", "x/y"),
        Settings("image", size=(64, 64)),
        Settings("image", steps=9),
    ]
    names = [run_name(["a"], each) for each in settings] + [run_name(["b"], IMAGES), run_name(["a", "b"], IMAGES)]
    assert len(set(names)) == 7
    assert run_name(["a"], Settings("image")) == names[0]


def test_a_run_of_a_file_is_the_same_whatever_its_prompts_become():
    assert run_name(["a"], IMAGES, "my prompts") == run_name(["a", "b"], IMAGES, "my prompts")
    assert re.fullmatch("my-prompts-[0-9a-f]{10}", run_name(["a"], IMAGES, "my prompts"))
    assert run_name(["a"], IMAGES, "my prompts") != run_name(["a"], Settings("image", steps=9), "my prompts")
