import numpy as np
import pytest

from ursa_ray.evaluation.detector import Detection, detect, label_blobs
from ursa_ray.training import world
from ursa_ray.training.world import Scene

NUM_CLIPS = 500


def as_drawn(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return frames


def as_reconstructed(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred by 0.7 px, with noise of sigma 6: worse than a tokenizer of 31 dB."""
    offsets = np.arange(-2, 3)
    kernel = np.exp(-(offsets**2) / (2 * 0.7**2))
    blurred = frames.astype(float)
    for axis in (1, 2):
        wide = np.pad(blurred, [(2, 2) if axis == each else (0, 0) for each in range(4)], mode="edge")
        length = blurred.shape[axis]
        blurred = sum(k * wide.take(range(i, i + length), axis) for i, k in enumerate(kernel / kernel.sum()))
    return np.clip(blurred + rng.normal(0, 6, frames.shape), 0, 255).astype(np.uint8)


def speed_class(speed: float | None) -> float | None:
    return None if speed is None else min(world.MOTIONS, key=lambda motion: abs(world.speed_of(motion) - speed))


@pytest.mark.parametrize("seen", [as_drawn, as_reconstructed])
def test_every_attribute_of_drawn_clips_is_found(seen):
    rng = np.random.default_rng(11)
    scenes = [world.sample_scene(rng, "held-out") for _ in range(NUM_CLIPS)]
    found = [detect(seen(world.draw(scene), rng)) for scene in scenes]
    for name in ("background", "colour", "shape", "direction"):
        right = sum(getattr(clip, name) == getattr(scene, name) for clip, scene in zip(found, scenes, strict=True))
        assert right >= 0.99 * NUM_CLIPS, (name, right)
    right = sum(speed_class(clip.speed) == scene.motion for clip, scene in zip(found, scenes, strict=True))
    assert right >= 0.99 * NUM_CLIPS, ("speed", right)
    assert sum((clip.track.num_strays > 0).any() for clip in found) <= 0.01 * NUM_CLIPS


@pytest.mark.parametrize("grown_px", [-1.0, 1.0])
def test_shapes_are_told_apart_when_a_model_paints_them_smaller_or_larger(grown_px: float, monkeypatch):
    rng = np.random.default_rng(2)
    scenes = [world.sample_scene(rng, "held-out") for _ in range(60)]
    exact = world.distance_to
    with monkeypatch.context() as patch:
        patch.setattr(world, "distance_to", lambda *where: exact(*where) - grown_px)
        clips = [world.draw(scene) for scene in scenes]
    found = [detect(as_reconstructed(clip, rng)).shape for clip in clips]
    assert sum(shape == scene.shape for shape, scene in zip(found, scenes, strict=True)) >= 0.95 * len(scenes)


def centred(shape: str = "circle", colour: str = "red", ground: str = "sea") -> Scene:
    return Scene(colour, shape, "right", ground, speed=1.0, start=(24.0, 24.0))


def test_an_empty_background_has_no_object():
    still = np.broadcast_to(world.background("night"), (17, 48, 64, 3)).astype(np.uint8)
    found = detect(still)
    assert (found.background, found.colour, found.shape, found.direction) == ("night", None, None, None)
    assert not found.track.present.any()


def test_what_stands_still_has_no_direction():
    found = detect(np.repeat(world.draw(centred())[:1], 17, axis=0))
    assert (found.direction, found.speed) == (None, 0.0)


def test_a_second_object_is_a_stray():
    frames, other = world.draw(centred()), world.draw(Scene("blue", "square", "right", "sea", 1.0, (50.0, 38.0)))
    cover = world.mask(Scene("blue", "square", "right", "sea", 1.0, (50.0, 38.0)))
    frames[3:7] = np.where(cover[3:7, ..., None] > 0, other[3:7], frames[3:7])
    found: Detection = detect(frames)
    assert found.track.num_strays.tolist() == [0] * 3 + [1] * 4 + [0] * 10


def test_direction_is_kept_while_the_object_passes_the_edge():
    scene = Scene("green", "triangle", "up", "night", speed=2.0, start=(32.0, 12.0))
    found = detect(world.draw(scene))
    assert (found.direction, found.shape) == ("up", "triangle")
    assert found.speed == pytest.approx(2.0, abs=0.15)


def test_blobs_are_joined_over_edges_not_corners():
    mask = np.array([[[1, 1, 0], [0, 0, 1], [1, 0, 1]]], bool)
    labels = label_blobs(mask)
    assert len(np.unique(labels[mask])) == 3
    assert labels[0, 0, 0] == labels[0, 0, 1] and labels[0, 1, 2] == labels[0, 2, 2]
    assert (labels[~mask] == 0).all()
