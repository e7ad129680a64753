import hashlib
import os
import random
import tracemalloc
from fractions import Fraction
from itertools import repeat

import numpy as np
import pytest

from ursa_ray.errors import MediaError
from ursa_ray.media import H264, probe, read_clip_tail, write_film
from ursa_ray.media import ffmpeg as ffmpeg_module
from ursa_ray.media import film as film_module
from ursa_ray.media.frames import decode_frames

FPS = Fraction(12)
SIZE = (96, 64)


def test_a_film_has_exactly_the_frames_in_their_order(tmp_path):
    greys = [0, 250, 40, 200, 80, 160, 120]
    frames = [np.full((64, 96, 3), grey, np.uint8) for grey in greys]
    write_film(tmp_path / "film.mp4", iter(frames), len(frames), SIZE, FPS)
    means = [frame.mean() for frame in decode_frames(tmp_path / "film.mp4")]
    np.testing.assert_allclose(means, greys, atol=3)


@pytest.mark.parametrize("fps", [FPS, Fraction(30000, 1001), Fraction(1, 2), Fraction(60)], ids=str)
@pytest.mark.parametrize("num_frames", [1, 2, 30])
def test_a_film_of_noise_passes_its_checks_at_any_rate_and_length(tmp_path, noise, fps, num_frames):
    report = write_film(tmp_path / "film.mp4", noise(num_frames), num_frames, SIZE, fps)
    info = probe(tmp_path / "film.mp4")
    assert (info.width, info.height, info.fps, info.num_frames) == (96, 64, fps, num_frames)
    assert report.num_frames == num_frames


@pytest.mark.parametrize("crf", [1, 30, 51])
def test_a_film_of_noise_passes_its_checks_at_any_quality(tmp_path, noise, crf):
    write_film(tmp_path / "film.mp4", noise(12), 12, SIZE, FPS, H264.with_crf(crf))


def test_the_report_describes_the_file(tmp_path, noise):
    report = write_film(tmp_path / "film.mp4", noise(5), 5, SIZE, FPS)
    assert report.path == tmp_path / "film.mp4"
    assert report.size_bytes == report.path.stat().st_size
    assert report.sha256 == hashlib.sha256(report.path.read_bytes()).hexdigest()


def test_a_film_is_written_in_the_same_bytes_on_one_core_and_on_all(tmp_path, noise):
    cores = os.sched_getaffinity(0)
    on_all = write_film(tmp_path / "all.mp4", noise(30), 30, SIZE, FPS)
    os.sched_setaffinity(0, {min(cores)})
    try:
        on_one = write_film(tmp_path / "one.mp4", noise(30), 30, SIZE, FPS)
    finally:
        os.sched_setaffinity(0, cores)
    assert on_one.sha256 == on_all.sha256


def test_colours_survive_in_bt709(tmp_path):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [180, 120, 60]], np.uint8)
    frames = [np.broadcast_to(colour, (64, 96, 3)) for colour in colours]
    write_film(tmp_path / "film.mp4", frames, len(frames), SIZE, FPS)
    decoded = read_clip_tail(tmp_path / "film.mp4", 96, 64, FPS, len(frames))
    np.testing.assert_allclose(decoded.mean(axis=(1, 2)), colours, atol=4)


def test_the_film_is_tagged_bt709_and_starts_with_its_index(tmp_path, noise):
    write_film(tmp_path / "film.mp4", noise(5), 5, SIZE, FPS)
    film = (tmp_path / "film.mp4").read_bytes()
    assert b"colrnclx\x00\x01\x00\x01\x00\x01\x00" in film  # BT.709 primaries, transfer and matrix; limited range
    assert film.index(b"moov") < film.index(b"mdat")


def test_metadata_is_kept_and_no_time_or_version_is(tmp_path, noise):
    metadata = {"title": "Grizzly; 'at' = dawn\n\u718a", "comment": "plan 1f2e"}
    write_film(tmp_path / "film.mp4", noise(5), 5, SIZE, FPS, metadata=metadata)
    film = (tmp_path / "film.mp4").read_bytes()
    assert all(value.encode() in film for value in metadata.values())
    assert b"Lavf" not in film
    created = film.index(b"mvhd") + 8
    assert film[created : created + 8] == bytes(8)


@pytest.mark.parametrize("num_given", [0, 3, 5], ids=["none", "too few", "too many"])
def test_another_number_of_frames_than_planned_publishes_nothing(tmp_path, noise, num_given):
    with pytest.raises(MediaError, match="4 were planned"):
        write_film(tmp_path / "film.mp4", noise(5)[:num_given], 4, SIZE, FPS)
    assert list(tmp_path.iterdir()) == []


def test_frames_without_end_are_refused(tmp_path, noise):
    endless = repeat(noise(1)[0])
    with pytest.raises(MediaError, match=r"frames\[4\] is one too many"):
        write_film(tmp_path / "film.mp4", endless, 4, SIZE, FPS)


@pytest.mark.parametrize(
    "odd_one",
    [np.zeros((32, 96, 3), np.uint8), np.zeros((64, 96, 4), np.uint8), np.zeros((64, 96, 3), np.float32)],
    ids=["height", "channels", "dtype"],
)
def test_a_frame_of_another_shape_or_type_is_refused(tmp_path, noise, odd_one):
    with pytest.raises(MediaError, match=r"frames\[2\] is .*; expected uint8 \(64, 96, 3\)"):
        write_film(tmp_path / "film.mp4", [*noise(2), odd_one], 3, SIZE, FPS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(95, 64), (96, 63)])
def test_an_odd_size_is_refused(tmp_path, size):
    with pytest.raises(MediaError, match="even width and height"):
        write_film(tmp_path / "film.mp4", [], 3, size, FPS)


def test_an_error_of_the_frames_is_passed_on_and_the_old_film_stays(tmp_path, noise):
    write_film(tmp_path / "film.mp4", noise(3), 3, SIZE, FPS)
    before = (tmp_path / "film.mp4").read_bytes()

    def frames():
        yield from noise(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "film.mp4", frames(), 3, SIZE, FPS)
    assert (tmp_path / "film.mp4").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'No space left on device' >&2; exit 7", "ffmpeg ended with 7: No space left on device"),
        ("head -c 40000 > /dev/null; kill -9 $$", "ffmpeg ended with -9: it said nothing"),
        ("cat > /dev/null", "did not receive the frames"),
        ('head -c 55296 | "$REAL" "$@"', "did not receive the frames"),
        ('tr a b | "$REAL" "$@"', "did not receive the frames"),
        ("yes error | head -c 1000000 >&2; exit 1", "ffmpeg ended with 1: error"),
    ],
    ids=[
        "dies",
        "is killed",
        "does nothing",
        "loses the last frames",
        "alters the frames",
        "never stops talking",
    ],
)
def test_an_ffmpeg_that_fails_or_lies_leaves_the_old_film_and_nothing_else(
    tmp_path, noise, fake_ffmpeg, script, message
):
    (tmp_path / "film.mp4").write_bytes(b"the old film")
    fake_ffmpeg(script)
    with pytest.raises(MediaError, match=message):
        write_film(tmp_path / "film.mp4", noise(30), 30, SIZE, FPS)
    assert (tmp_path / "film.mp4").read_bytes() == b"the old film"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_ffmpeg_that_drops_a_frame_is_found_out(tmp_path, noise, fake_ffmpeg):
    fake_ffmpeg("""
        for argument in "$@"; do
            shift
            case "$argument" in scale=*) argument="select='not(eq(n,2))',$argument";; esac
            set -- "$@" "$argument"
        done
        exec "$REAL" "$@"
    """)
    with pytest.raises(MediaError, match=r"num_frames=29\); .*num_frames=30\) was planned"):
        write_film(tmp_path / "film.mp4", noise(30), 30, SIZE, FPS)
    assert list(tmp_path.iterdir()) == []


def test_a_bit_that_flips_on_the_disk_is_found_or_changes_no_pixel(tmp_path, noise, monkeypatch):
    whole = write_film(tmp_path / "whole.mp4", noise(6), 6, SIZE, FPS).path
    pixels = [frame.tobytes() for frame in decode_frames(whole)]
    encode, dice, num_found = film_module.encode, random.Random(1), 0

    def encode_then_damage(film, *rest):
        sent = encode(film, *rest)
        damaged = bytearray(film.read_bytes())
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        film.write_bytes(damaged)
        return sent

    monkeypatch.setattr(film_module, "encode", encode_then_damage)
    for _ in range(30):
        try:
            film = write_film(tmp_path / "film.mp4", noise(6), 6, SIZE, FPS).path
            assert [frame.tobytes() for frame in decode_frames(film)] == pixels
        except MediaError:
            num_found += 1
    assert num_found > 20


def test_memory_does_not_grow_with_the_length_of_the_film(tmp_path):
    frame = np.zeros((64, 96, 3), np.uint8)
    num_frames = 2000
    tracemalloc.start()
    try:
        write_film(tmp_path / "film.mp4", (frame + index % 7 for index in range(num_frames)), num_frames, SIZE, FPS)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20 * frame.nbytes  # the film is 2000 frames


def test_ffmpeg_gives_its_version_and_its_hash():
    assert ffmpeg_module.ffmpeg_version()
    assert len(ffmpeg_module.ffmpeg_sha256()) == 64
