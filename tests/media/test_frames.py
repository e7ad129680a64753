import numpy as np
import pytest

from ursa_ray.errors import MediaError
from ursa_ray.media import frames_sha256


def test_the_hash_is_the_same_for_an_array_and_for_a_stream_of_its_frames(noise):
    frames = noise(3)
    assert frames_sha256(frames) == frames_sha256(frame.copy() for frame in frames)


def test_the_hash_tells_apart_frames_of_the_same_bytes_and_another_shape():
    assert frames_sha256(np.zeros((1, 8, 16, 3), np.uint8)) != frames_sha256(np.zeros((1, 16, 8, 3), np.uint8))


def test_the_hash_depends_on_the_order_of_the_frames(noise):
    frames = noise(2)
    assert frames_sha256(frames) != frames_sha256(frames[::-1])


def test_the_hash_does_not_depend_on_how_the_array_lies_in_memory(noise):
    frames = noise(2)
    assert frames_sha256(frames) == frames_sha256(np.asfortranarray(frames))


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [np.zeros((8, 8, 4), np.uint8)],
        [np.zeros((8, 8), np.uint8)],
        [np.zeros((8, 8, 3), np.float32)],
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 16, 3), np.uint8)],
    ],
    ids=["none", "four channels", "no channels", "float", "two sizes"],
)
def test_what_is_not_frames_of_one_shape_has_no_hash(frames):
    with pytest.raises(MediaError, match=r"^frames"):
        frames_sha256(frames)
