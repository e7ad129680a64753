"""From samples to a plan, without a model where the released ones are asked for."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from ursa_ray.errors import OptionError
from ursa_ray.sampling import Sample, Settings, plan_samples, seeds_of

IMAGES = Settings("image")
BEAR = Sample("a bear in the fog")


def test_four_images_of_the_released_model_are_planned_before_it_is_there():
    settings = Settings("image", "BAAI/URSA-1.7B-IBQ1024", size=(1024, 1024), guidance=7.0, steps=25)
    planned = plan_samples(list(seeds_of([BEAR], 4, 0)), settings)
    assert planned.warnings == ()
    assert len({segment.seed for segment in planned.plan.segments}) == 4
    for segment in planned.plan.segments:
        assert (segment.width, segment.height, segment.num_frames, segment.steps) == (1024, 1024, 1, 25)
        assert segment.prompt == "a bear in the fog"


def test_the_published_loop_of_twelve_rounds_has_481_frames():
    settings = Settings("video", "BAAI/URSA-1.7B-FSQ320", extend=12, motion=5.0)
    plan = plan_samples([BEAR], settings).plan
    assert (plan.num_frames, plan.num_segments) == (481, 13)
    assert all(segment.condition.num_given == 13 for segment in plan.segments[1:])
    assert {segment.prompt for segment in plan.segments} == {"motion=5.0, a bear in the fog"}


def test_samples_with_a_picture_are_told_apart_by_what_it_shows(tmp_path):
    for name, colour in (("a.png", "red"), ("b.png", "blue"), ("c.png", "red")):
        Image.new("RGB", (64, 48), colour).save(tmp_path / name)
    samples = [replace(BEAR, image=tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    planned = plan_samples(samples, Settings("video"))
    assert planned.shots[0] == planned.shots[2] != planned.shots[1]
    assert len(planned.plan.shots) == 2


def test_every_setting_arrives():
    settings = Settings("video", "tiny", (48, 32), "1s", None, 4.0, 7, 2.5, "blurry", 30)
    plan = plan_samples([BEAR], settings).plan
    (segment,) = plan.segments
    assert (plan.width, plan.height, plan.num_frames, plan.crf) == (48, 32, 12, 30)
    assert (segment.steps, segment.guidance, segment.negative_prompt) == (7, 2.5, "blurry")
    assert segment.prompt == "motion=4.0, a bear in the fog"


@pytest.mark.parametrize("path", ["/etc/a.png", "../a.png", "a/../../b.png", "a.jpg", "a", "a.PNG", "a\0.png"])
def test_a_path_that_leads_elsewhere_or_is_no_such_file_is_refused(path):
    with pytest.raises(OptionError, match=r"expected a relative path that ends in \.png"):
        plan_samples([replace(BEAR, path=path)], IMAGES)


def test_two_samples_cannot_be_one_file():
    samples = [Sample("a bear", path="a.png"), Sample("a cat", path="./a.png")]
    with pytest.raises(OptionError, match=r"path '\./a\.png' is given to two samples"):
        plan_samples(samples, IMAGES)


@pytest.mark.parametrize("number", [0, 10_001])
def test_a_sampling_has_1_to_10000_samples(number):
    with pytest.raises(OptionError, match="samples are asked for, expected 1 to 10,000 in one run"):
        plan_samples(list(seeds_of([BEAR], number, 0)), IMAGES)


def test_a_picture_that_is_in_another_folder_is_found_from_here(tmp_path, monkeypatch):
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for path in (tmp_path / "a.png", Path("../a.png")):
        (segment,) = plan_samples([replace(BEAR, image=path)], Settings("video")).plan.segments
        assert segment.condition.path.samefile(tmp_path / "a.png")
