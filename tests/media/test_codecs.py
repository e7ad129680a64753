"""Every codec, from noise: what is written is what was sent, or is not published."""

import os
import re
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from ursa_ray.errors import MediaError, OptionError
from ursa_ray.media import CODECS, choose_codec, ffmpeg, write_film
from ursa_ray.media import film as film_module

FPS = Fraction(12)
SIZE = (96, 64)
SENT_WHOLE = ["ffv1", "png"]

every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))


def path_for(tmp_path, codec):
    return tmp_path / f"film{codec.suffix}"


def stream_line(path):
    """What ffmpeg says of a video when it is given nothing to do."""
    said = subprocess.run([ffmpeg.executable(), "-hide_banner", "-i", path], capture_output=True, text=True).stderr
    return re.search(r"Stream #0:0.*Video: (.*)", said)[1]


def pixels(path, size=SIZE):
    """Frames as ffmpeg alone decodes them."""
    command = [ffmpeg.executable(), "-v", "error", "-i", path, "-fps_mode", "passthrough"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    return np.frombuffer(raw.stdout, np.uint8).reshape(-1, size[1], size[0], 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("h264", ["h264 (High) (avc1", "yuv420p(tv, bt709", "12 fps"]),
        ("hevc", ["hevc (Main) (hvc1", "yuv420p(tv, bt709", "12 fps"]),
        ("prores", ["prores (HQ) (apch", "yuv422p10le(tv, bt709", "12 fps"]),
        ("ffv1", ["ffv1", "bgr0(pc, gbr/bt709/bt709", "12 fps"]),
    ],
)
def test_a_film_says_what_it_is_and_that_its_colours_are_bt709(tmp_path, noise, name, words):
    codec = CODECS[name]
    path = write_film(path_for(tmp_path, codec), noise(12), 12, SIZE, FPS, codec).path
    line = stream_line(path)
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("name", ["h264", "hevc", "prores", "gif"])
def test_colours_survive(tmp_path, name):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [180, 120, 60]], np.uint8)
    frames = [np.broadcast_to(colour, (64, 96, 3)) for colour in colours]
    path = write_film(path_for(tmp_path, CODECS[name]), frames, len(frames), SIZE, FPS, CODECS[name]).path
    command = [ffmpeg.executable(), "-v", "error", "-i", path, "-fps_mode", "passthrough"]
    scaled = ["-vf", "scale=in_color_matrix=bt709:flags=accurate_rnd", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run([*command, *scaled], capture_output=True, check=True).stdout
    decoded = np.frombuffer(raw, np.uint8).reshape(-1, 64 * 96, 3)
    np.testing.assert_allclose(decoded.mean(axis=1), colours, atol=4)


def test_colours_survive_in_webp(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (180, 120, 60)]
    frames = [np.full((64, 96, 3), colour, np.uint8) for colour in colours]
    write_film(tmp_path / "film.webp", frames, len(frames), SIZE, FPS, CODECS["webp"])
    with Image.open(tmp_path / "film.webp") as film:
        for index, colour in enumerate(colours):
            film.seek(index)
            np.testing.assert_allclose(np.asarray(film.convert("RGB")).mean(axis=(0, 1)), colour, atol=4)


def test_without_loss_is_without_loss(tmp_path, noise):
    write_film(tmp_path / "film.mkv", noise(5), 5, SIZE, FPS, CODECS["ffv1"])
    np.testing.assert_array_equal(pixels(tmp_path / "film.mkv"), noise(5))


@pytest.mark.parametrize(("name", "least_db"), [("h264", 100), ("hevc", 40)])
def test_every_quality_can_be_had_and_the_best_is_next_to_no_loss(tmp_path, noise, name, least_db):
    """Beyond what is lost on the way to the pixels that the encoder takes."""
    codec, frames, num_bytes = CODECS[name], noise(12), []
    for crf in (0, 1, 51):
        path = tmp_path / f"{crf}.mp4"
        num_bytes.append(write_film(path, frames, 12, SIZE, FPS, codec.with_crf(crf)).size_bytes)
    assert num_bytes == sorted(num_bytes, reverse=True)
    sent = subprocess.run(
        [
            ffmpeg.executable(),
            "-v",
            "error",
            *ffmpeg.receiving(*SIZE, FPS),
            "-vf",
            codec.filters,
            "-f",
            "rawvideo",
            "-",
        ],
        input=frames.tobytes(),
        capture_output=True,
        check=True,
    ).stdout
    decode = [ffmpeg.executable(), "-v", "error", "-i", tmp_path / "0.mp4", "-fps_mode", "passthrough"]
    shown = subprocess.run([*decode, "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    error = np.square(np.frombuffer(shown, np.uint8).astype(float) - np.frombuffer(sent, np.uint8)).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > least_db


def test_pictures_are_numbered_from_0_in_a_folder_of_any_name(tmp_path, noise):
    report = write_film(tmp_path / "100%d of it", noise(3), 3, SIZE, FPS, CODECS["png"])
    pictures = sorted((tmp_path / "100%d of it").iterdir())
    assert [path.name for path in pictures] == ["000000.png", "000001.png", "000002.png"]
    np.testing.assert_array_equal([np.asarray(Image.open(path)) for path in pictures], noise(3))
    assert report.size_bytes == sum(path.stat().st_size for path in pictures)


@pytest.mark.parametrize("name", ["gif", "webp"])
def test_an_animation_has_a_picture_for_each_frame_lasts_as_long_and_loops(tmp_path, noise, name):
    path = write_film(path_for(tmp_path, CODECS[name]), noise(13), 13, SIZE, FPS, CODECS[name]).path
    with Image.open(path) as film:
        durations = []
        for index in range(film.n_frames):
            film.seek(index)
            film.load()
            durations.append(film.info["duration"])
        assert film.info["loop"] == 0  # without end
    assert len(durations) == 13
    assert sum(durations) == pytest.approx(13 * 1000 / 12, abs=10)
    assert max(durations) - min(durations) <= 10  # ms, the resolution of GIF


@pytest.mark.parametrize("name", ["hevc", "prores", "ffv1", "png", "gif", "webp"])
def test_the_bytes_are_the_same_on_one_core_and_on_all(tmp_path, noise, name):
    codec, cores = CODECS[name], os.sched_getaffinity(0)
    on_all = write_film(tmp_path / f"all{codec.suffix}", noise(9), 9, SIZE, FPS, codec)
    os.sched_setaffinity(0, {min(cores)})
    try:
        on_one = write_film(tmp_path / f"one{codec.suffix}", noise(9), 9, SIZE, FPS, codec)
    finally:
        os.sched_setaffinity(0, cores)
    assert on_one.sha256 == on_all.sha256


@every_codec
def test_no_version_of_ffmpeg_is_in_the_bytes(tmp_path, noise, codec):
    path = write_film(path_for(tmp_path, codec), noise(3), 3, SIZE, FPS, codec).path
    written = b"".join(file.read_bytes() for file in (path.iterdir() if path.is_dir() else [path]))
    assert not re.search(rb"Lav[cf]\d|x265 ", written)


@every_codec
def test_a_film_of_one_frame_is_one(tmp_path, noise, codec):
    assert write_film(path_for(tmp_path, codec), noise(1), 1, SIZE, FPS, codec).num_frames == 1


@every_codec
def test_frames_that_come_again_are_counted(tmp_path, noise, codec):
    frames = noise(6)[[0, 0, 1, 2, 2, 2, 3, 4, 5, 5]]
    write_film(path_for(tmp_path, codec), frames, 10, SIZE, Fraction(30000, 1001), codec)


@every_codec
def test_one_frame_too_few_publishes_nothing(tmp_path, noise, codec):
    with pytest.raises(MediaError, match="4 were planned"):
        write_film(path_for(tmp_path, codec), noise(3), 4, SIZE, FPS, codec)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SENT_WHOLE)
def test_an_ffmpeg_that_alters_what_must_not_be_altered_is_found_out(tmp_path, noise, fake_ffmpeg, name):
    fake_ffmpeg("""
        for argument in "$@"; do
            shift
            case "$argument" in format=*) argument="drawbox=x=5:y=5:w=1:h=1,$argument";; esac
            set -- "$@" "$argument"
        done
        exec "$REAL" "$@"
    """)
    with pytest.raises(MediaError, match="does not decode to the frames that were sent"):
        write_film(path_for(tmp_path, CODECS[name]), noise(3), 3, SIZE, FPS, CODECS[name])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["hevc", "prores", "ffv1", "png", "gif"])
def test_an_ffmpeg_that_drops_a_frame_is_found_out(tmp_path, noise, fake_ffmpeg, name):
    fake_ffmpeg("""
        for argument in "$@"; do
            shift
            case "$argument" in scale=*|format=*|split*) argument="select='not(eq(n,2))',$argument";; esac
            set -- "$@" "$argument"
        done
        exec "$REAL" "$@"
    """)
    with pytest.raises(MediaError, match="was planned"):
        write_film(path_for(tmp_path, CODECS[name]), noise(6), 6, SIZE, FPS, CODECS[name])
    assert list(tmp_path.iterdir()) == []


def test_a_webp_that_ends_early_is_found_out(tmp_path, noise, fake_ffmpeg):
    fake_ffmpeg("""
        for argument in "$@"; do
            shift
            case "$argument" in format=bgra) argument="trim=end_frame=5,$argument";; esac
            set -- "$@" "$argument"
        done
        exec "$REAL" "$@"
    """)
    with pytest.raises(MediaError, match=r"holds 5 frames; .*num_frames=6.* was planned"):
        write_film(tmp_path / "film.webp", noise(6), 6, SIZE, FPS, CODECS["webp"])
    assert list(tmp_path.iterdir()) == []


@every_codec
def test_a_file_that_is_cut_short_on_the_disk_is_not_published(tmp_path, noise, codec, monkeypatch):
    encode = film_module.encode

    def encode_then_cut(film, *rest):
        sent = encode(film, *rest)
        file = film / "000002.png" if film.is_dir() else film
        file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
        return sent

    monkeypatch.setattr(film_module, "encode", encode_then_cut)
    with pytest.raises(MediaError):
        write_film(path_for(tmp_path, codec), noise(6), 6, SIZE, FPS, codec)
    assert list(tmp_path.iterdir()) == []


def test_a_webp_that_would_be_a_still_is_refused(tmp_path):
    with pytest.raises(MediaError, match="no frame differs from the first"):
        write_film(tmp_path / "film.webp", np.zeros((4, 64, 96, 3), np.uint8), 4, SIZE, FPS, CODECS["webp"])


@every_codec
def test_odd_sizes_are_written_or_refused(tmp_path, noise, codec):
    def write():
        return write_film(path_for(tmp_path, codec), noise(2, 63, 95), 2, (95, 63), FPS, codec)

    if codec.name in {"h264", "hevc", "prores"}:
        with pytest.raises(MediaError, match=f"{codec.name} takes films of even width and height, not 95x63"):
            write()
    else:
        assert write().num_frames == 2


def test_a_gif_faster_than_browsers_show_is_refused(tmp_path, noise):
    with pytest.raises(MediaError, match="at most 50 frames a second, not 60"):
        write_film(tmp_path / "film.gif", noise(2), 2, SIZE, Fraction(60), CODECS["gif"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.mp4", "h264"),
        ("a.MOV", "prores"),
        ("a.mkv", "ffv1"),
        ("a.gif", "gif"),
        ("a.webp", "webp"),
        ("frames", "png"),
    ],
)
def test_the_suffix_says_how(tmp_path, path, name):
    assert choose_codec(tmp_path / path).name == name


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("a.avi", None, "no codec writes .avi files. Known: .mp4 for h264"),
        ("a.mp4", "av1", "codec 'av1' is not known. Known: h264, hevc"),
        ("a.gif", "hevc", "Expected: .mp4 for hevc"),
        ("a.png", "png", "Expected: a folder"),
    ],
)
def test_a_codec_that_is_unknown_or_does_not_go_with_the_suffix_is_refused(tmp_path, path, name, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        choose_codec(tmp_path / path, name)
