import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ursa_ray.errors import MediaError
from ursa_ray.media import frames_sha256, read_mezzanine, write_mezzanine

FPS = Fraction(12)

any_frames = st.tuples(st.integers(1, 3), st.integers(8, 40), st.integers(8, 40), st.just(3)).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


@settings(max_examples=25, deadline=None)
@given(any_frames)
def test_frames_come_back_bit_for_bit(tmp_path_factory, frames):
    folder = tmp_path_factory.mktemp("mezzanines")
    sha = write_mezzanine(folder, frames, FPS)
    np.testing.assert_array_equal(np.stack(list(read_mezzanine(folder / f"{sha}.mkv"))), frames)


def test_a_mezzanine_is_named_by_its_frames_and_nothing_else_is_left(tmp_path, noise):
    frames = noise(4)
    sha = write_mezzanine(tmp_path, frames, FPS)
    assert sha == frames_sha256(frames)
    assert [path.name for path in tmp_path.iterdir()] == [f"{sha}.mkv"]


@pytest.mark.parametrize(("start", "stop"), [(0, None), (2, None), (0, 3), (2, 5), (4, 4), (6, None)])
def test_a_range_is_half_open(tmp_path, noise, start, stop):
    frames = noise(6)
    sha = write_mezzanine(tmp_path, frames, FPS)
    read = list(read_mezzanine(tmp_path / f"{sha}.mkv", start, stop))
    assert len(read) == len(frames[start:stop])
    assert all((a == b).all() for a, b in zip(read, frames[start:stop], strict=True))


def test_a_range_past_the_end_is_refused(tmp_path, noise):
    sha = write_mezzanine(tmp_path, noise(6), FPS)
    with pytest.raises(MediaError, match=r"holds 6 frames; \[2, 7\) was asked for"):
        list(read_mezzanine(tmp_path / f"{sha}.mkv", 2, 7))


def test_the_same_frames_give_the_same_bytes(tmp_path, noise):
    sha = write_mezzanine(tmp_path / "a", noise(4), FPS)
    write_mezzanine(tmp_path / "b", noise(4), FPS)
    assert (tmp_path / "a" / f"{sha}.mkv").read_bytes() == (tmp_path / "b" / f"{sha}.mkv").read_bytes()


def test_a_whole_mezzanine_is_not_written_again(tmp_path, noise):
    sha = write_mezzanine(tmp_path, noise(4), FPS)
    written = (tmp_path / f"{sha}.mkv").stat()
    write_mezzanine(tmp_path, noise(4), FPS)
    assert (tmp_path / f"{sha}.mkv").stat().st_ino == written.st_ino


def test_writing_replaces_a_damaged_mezzanine(tmp_path, noise):
    sha = write_mezzanine(tmp_path, noise(4), FPS)
    path = tmp_path / f"{sha}.mkv"
    path.write_bytes(b"damaged")
    with pytest.raises(MediaError, match="damaged"):
        list(read_mezzanine(path))
    write_mezzanine(tmp_path, noise(4), FPS)
    assert len(list(read_mezzanine(path))) == 4


@pytest.mark.parametrize("start", [0, 3])
def test_a_truncated_mezzanine_is_refused_wherever_it_ends(tmp_path, noise, start):
    sha = write_mezzanine(tmp_path, noise(4), FPS)
    path = tmp_path / f"{sha}.mkv"
    whole = path.read_bytes()
    lengths = random.Random(5).sample(range(len(whole)), 25)
    for length in lengths:
        path.write_bytes(whole[:length])
        try:
            read = list(read_mezzanine(path, start))
        except MediaError:
            continue
        assert frames_sha256(read) == frames_sha256(noise(4)[start:]), f"cut at {length} of {len(whole)}"


def test_a_flipped_bit_is_found_or_changes_no_pixel(tmp_path, noise):
    sha = write_mezzanine(tmp_path, noise(2), FPS)
    path = tmp_path / f"{sha}.mkv"
    whole = path.read_bytes()
    dice = random.Random(3)
    places = dice.sample(range(600), 40) + dice.sample(range(len(whole)), 40)  # the header, and anywhere
    num_found = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        try:
            assert frames_sha256(read_mezzanine(path)) == sha
        except MediaError:
            num_found += 1
    assert num_found > 40


def test_a_mezzanine_under_the_name_of_other_frames_is_refused(tmp_path, noise):
    sha = write_mezzanine(tmp_path, noise(4), FPS)
    other = (tmp_path / f"{sha}.mkv").rename(tmp_path / f"{frames_sha256(noise(3))}.mkv")
    with pytest.raises(MediaError, match="its frames are not those of its name"):
        list(read_mezzanine(other))


def test_a_reader_that_stops_early_leaves_no_ffmpeg_behind(tmp_path, noise):
    sha = write_mezzanine(tmp_path, noise(40, 320, 512), FPS)
    frames = read_mezzanine(tmp_path / f"{sha}.mkv")
    next(frames)
    frames.close()  # would hang, or warn of a process still running


def test_an_encoder_that_alters_frames_publishes_nothing(tmp_path, noise, fake_ffmpeg):
    fake_ffmpeg("""case "$*" in *rawvideo*) tr a b | "$REAL" "$@";; *) exec "$REAL" "$@";; esac""")
    with pytest.raises(MediaError, match="its frames are not those of its name"):
        write_mezzanine(tmp_path, noise(4), FPS)
    assert list(tmp_path.iterdir()) == []


def test_a_dying_ffmpeg_publishes_no_mezzanine(tmp_path, noise, fake_ffmpeg):
    fake_ffmpeg("echo 'No space left on device' >&2; exit 7")
    with pytest.raises(MediaError, match="ffmpeg ended with 7: No space left on device"):
        write_mezzanine(tmp_path, noise(4), FPS)
    assert list(tmp_path.iterdir()) == []
