import hashlib
import os
import socket
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageOps

from ursa_ray.errors import AssetError, MediaError
from ursa_ray.media import asset_sha256, ffmpeg, probe, read_clip_tail, read_image, write_film

FPS = Fraction(12)
RED, BLUE = (255, 0, 0), (0, 0, 255)
FILTER_OPTIONS = ("-vf", "-af", "-filter", "-filter:v", "-filter_complex", "-lavfi", "-filter_script", "-/filter")
HOSTILE_NAMES = [
    "-i.mp4",
    "concat:a.mp4|b.mp4",
    "pipe:0",
    "frame%03d.mp4",
    "two words.mp4",
    'it\'s "quoted".mp4',
    "b\u00e4r \u718a.mp4",
    "[0:v]null;movie=x.mp4",
    "new\nline.mp4",
    "back\\slash.mp4",
]


def transcode(source, target, *arguments):
    subprocess.run([ffmpeg.executable(), "-v", "error", "-i", source, *arguments, target], check=True)


@pytest.fixture
def halves(tmp_path):
    """An image of 80x40: red on the left, blue on the right."""
    image = Image.new("RGB", (80, 40), RED)
    image.paste(BLUE, (40, 0, 80, 40))
    return image


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_an_image_becomes_a_frame(tmp_path, halves, image_format):
    halves.save(tmp_path / "image", image_format, quality=100)
    frame = read_image(tmp_path / "image", 80, 40)
    assert (frame.shape, frame.dtype) == ((40, 80, 3), np.uint8)
    np.testing.assert_allclose(frame[20, [10, 70]], [RED, BLUE], atol=8)


def test_an_image_covers_the_frame_and_is_cut_about_its_centre(tmp_path, halves):
    halves.save(tmp_path / "image.png")
    frame = read_image(tmp_path / "image.png", 64, 64)
    assert frame.shape == (64, 64, 3)
    assert tuple(frame[0, 0]) == RED
    assert tuple(frame[63, 63]) == BLUE


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_an_image_is_turned_as_its_exif_says(tmp_path, halves, image_format):
    exif = Image.Exif()
    exif[0x0112] = 6  # the first column of what is stored is the top of what is shown
    halves.save(tmp_path / "image", image_format, exif=exif, quality=100)
    frame = read_image(tmp_path / "image", 40, 80)
    np.testing.assert_allclose(frame[[10, 70], 20], [RED, BLUE], atol=8)


@pytest.mark.parametrize("orientation", range(10))
def test_any_exif_orientation_is_read_as_pillow_reads_it(tmp_path, noise, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(noise(1)[0])
    image.save(tmp_path / "image.png", exif=exif)
    with Image.open(tmp_path / "image.png") as saved:
        expected = np.array(ImageOps.exif_transpose(saved))
    height, width, _ = expected.shape
    np.testing.assert_array_equal(read_image(tmp_path / "image.png", width, height), expected)


def test_what_is_transparent_is_black(tmp_path):
    Image.new("RGBA", (32, 32), (255, 255, 255, 0)).save(tmp_path / "image.png")
    assert read_image(tmp_path / "image.png", 32, 32).max() == 0


def test_an_image_of_16_bits_keeps_its_tones(tmp_path):
    Image.fromarray(np.full((32, 32), 32768, np.uint16)).save(tmp_path / "image.png")
    np.testing.assert_array_equal(np.unique(read_image(tmp_path / "image.png", 32, 32)), [128])


def save_png(path):
    Image.effect_noise((200, 200), 80).save(path, "PNG")


def save_truncated(image_format):
    def save(path):
        Image.effect_noise((200, 200), 80).save(path, image_format)
        os.truncate(path, path.stat().st_size // 2)

    return save


def save_blank(side):
    return lambda path: Image.new("1", (side, side)).save(path, "PNG")


def save_sparse(num_bytes):
    def save(path):
        path.touch()
        os.truncate(path, num_bytes)

    return save


UNUSABLE_IMAGES = {
    "missing": (lambda path: None, r"cannot be opened \(No such file"),
    "folder": (lambda path: path.mkdir(), "is not a regular file"),
    "fifo": (os.mkfifo, "is not a regular file"),
    "too many bytes": (save_sparse(51 * 10**6), "has 51000000 bytes; expected at most 50000000"),
    "text": (lambda path: path.write_text("a bear"), "is not a PNG, JPEG or WEBP image"),
    "empty": (lambda path: path.touch(), "is not a PNG, JPEG or WEBP image"),
    "another format": (
        lambda path: Image.new("RGB", (8, 8)).save(path, "TIFF"),
        "is not a PNG, JPEG or WEBP",
    ),
    "truncated PNG": (save_truncated("PNG"), "is damaged"),
    "truncated JPEG": (save_truncated("JPEG"), "is damaged"),
    "truncated WEBP": (save_truncated("WEBP"), "is "),
    "too many pixels": (save_blank(9000), "is 9000x9000; expected at most 40000000 pixels"),
    "warned of by Pillow": (save_blank(10000), "is 10000x10000; expected at most 40000000 pixels"),
    "refused by Pillow": (save_blank(20000), "has more than 40000000 pixels"),
}


@pytest.mark.parametrize(("save", "message"), UNUSABLE_IMAGES.values(), ids=UNUSABLE_IMAGES.keys())
def test_an_unusable_image_is_refused_when_planned_and_when_read(tmp_path, save, message):
    path = tmp_path / "image"
    save(path)
    with pytest.raises(AssetError, match=f"^{path}: {message}"):
        asset_sha256(path, "image")
    with pytest.raises(AssetError, match=f"^{path}: {message}"):
        read_image(path, 64, 64)


def save_playlist(path):
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n")


def save_concat(path):
    path.write_text("ffconcat version 1.0\nfile 'secret.mp4'\n")


def save_vast_clip(path):
    color = ["-f", "lavfi", "-i", "color=s=8000x5008", "-frames:v", "1"]
    subprocess.run([ffmpeg.executable(), "-v", "error", *color, "-c:v", "png", path], check=True)


UNUSABLE_CLIPS = {
    "missing": (lambda path: None, "cannot be opened"),
    "folder": (lambda path: path.mkdir(), "is not a regular file"),
    "fifo": (os.mkfifo, "is not a regular file"),
    "too many bytes": (save_sparse(2 * 10**9 + 1), "has 2000000001 bytes; expected at most 2000000000"),
    "text": (lambda path: path.write_text("a bear"), "is no whole MP4"),
    "empty": (lambda path: path.touch(), "is no whole MP4"),
    "picture": (save_png, "is no whole MP4"),
    "too many pixels": (save_vast_clip, "is no whole MP4"),
    "HLS playlist": (save_playlist, "is no whole MP4"),
    "concat script": (save_concat, "is no whole MP4"),
}


@pytest.mark.parametrize(("save", "message"), UNUSABLE_CLIPS.values(), ids=UNUSABLE_CLIPS.keys())
def test_an_unusable_clip_is_refused_when_planned_and_when_read(tmp_path, counter, save, message):
    counter(3, name="secret.mp4")
    transcode(tmp_path / "secret.mp4", tmp_path / "secret.ts")
    path = tmp_path / "clip.mp4"
    save(path)
    with pytest.raises(AssetError, match=f"^{path}: {message}"):
        asset_sha256(path, "clip")
    with pytest.raises(AssetError, match=f"^{path}: {message}"):
        read_clip_tail(path, 96, 64, FPS, 1)


def test_a_name_with_a_null_character_is_refused(tmp_path):
    with pytest.raises(AssetError, match="cannot be opened"):
        asset_sha256(tmp_path / "a\0b", "clip")


def test_the_hash_of_an_asset_is_that_of_its_file(tmp_path, counter):
    save_png(tmp_path / "image.png")
    clip = counter(3)
    assert asset_sha256(clip, "clip") == hashlib.sha256(clip.read_bytes()).hexdigest()
    image = tmp_path / "image.png"
    assert asset_sha256(image, "image") == hashlib.sha256(image.read_bytes()).hexdigest()


def test_the_tail_of_a_clip_is_its_last_frames(counter):
    tail = read_clip_tail(counter(40), 96, 64, FPS, 5)
    assert (tail.shape, tail.dtype) == ((5, 64, 96, 3), np.uint8)
    np.testing.assert_allclose(tail.mean(axis=(1, 2, 3)), [175, 180, 185, 190, 195], atol=2.4)


def test_a_clip_at_another_rate_keeps_its_speed(counter):
    tail = read_clip_tail(counter(48, Fraction(24)), 96, 64, FPS, 4)
    np.testing.assert_allclose(np.diff(tail.mean(axis=(1, 2, 3))), 10, atol=2.4)
    with pytest.raises(AssetError, match="has 24 frames"):
        read_clip_tail(counter(48, Fraction(24)), 96, 64, FPS, 25)


def test_a_clip_that_is_too_short_says_how_long_it_must_be(counter):
    with pytest.raises(AssetError, match=r"has 5 frames at 12 per second; expected at least 13, which last 1.08 s"):
        read_clip_tail(counter(5), 96, 64, FPS, 13)


def test_a_clip_that_lasts_too_long_is_refused(counter):
    with pytest.raises(AssetError, match="longer than 3600 s"):
        read_clip_tail(counter(3, Fraction(1, 1500)), 16, 16, Fraction(1), 13)


@pytest.mark.parametrize("suffix", ["mov", "mkv", "webm", "avi", "gif", "ts"])
def test_clips_of_the_usual_formats_are_read(tmp_path, counter, suffix):
    clip = tmp_path / f"clip.{suffix}"
    transcode(counter(20), clip)
    assert asset_sha256(clip, "clip")
    tail = read_clip_tail(clip, 96, 64, FPS, 3)
    np.testing.assert_allclose(tail.mean(axis=(1, 2, 3)), [85, 90, 95], atol=4)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 32), (32, 96), (200, 104), (104, 200)])
def test_a_clip_covers_the_frame_and_is_cut_about_its_centre(tmp_path, halves, width, height):
    frame = np.array(halves)
    write_film(tmp_path / "clip.mp4", [frame, frame], 2, (80, 40), FPS)
    tail = read_clip_tail(tmp_path / "clip.mp4", width, height, FPS, 2)
    assert tail.shape == (2, height, width, 3)
    np.testing.assert_allclose(tail[0, 0, 0], RED, atol=8)
    np.testing.assert_allclose(tail[1, -1, -1], BLUE, atol=8)


def test_a_clip_of_oblong_pixels_is_read_as_it_is_shown(tmp_path):
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:8] = 255  # a stripe that would be cut off if the picture were taken for a square
    write_film(tmp_path / "square.mp4", [frame], 1, (64, 64), FPS)
    transcode(tmp_path / "square.mp4", tmp_path / "wide.mp4", "-vf", "setsar=2")
    tail = read_clip_tail(tmp_path / "wide.mp4", 128, 64, FPS, 1)
    assert tail[0, 2].mean() > 240


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_clip_is_refused(tmp_path, noise, share):
    path = tmp_path / "clip.mp4"
    size_bytes = write_film(path, noise(30), 30, (96, 64), FPS).size_bytes
    os.truncate(path, int(share * size_bytes))
    with pytest.raises(AssetError, match="is no whole MP4"):
        read_clip_tail(path, 96, 64, FPS, 1)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_is_only_a_name(tmp_path, noise, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = type(tmp_path)(name)
    write_film(path, noise(4), 4, (96, 64), FPS)
    assert os.listdir() == [name]
    assert probe(path).num_frames == 4
    assert asset_sha256(path, "clip")
    assert read_clip_tail(path, 96, 64, FPS, 2).shape == (2, 64, 96, 3)


def test_what_opens_a_clip_lets_ffmpeg_open_nothing_but_files(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        *options, _ = ffmpeg.reading(tmp_path / "clip.mp4")
        with (
            pytest.raises(MediaError, match="Protocol 'tcp' not on whitelist"),
            ffmpeg.running("reading", [*options, address, "-f", "null", "-"]),
        ):
            pass
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("text", ["[0:v]null", "movie=x.mp4", "a,drawtext=textfile=/etc/passwd", "a';b", "%{pts}:\\"])
def test_no_text_of_the_users_is_in_a_filter(tmp_path, noise, monkeypatch, text):
    commands = []

    class Recorded(subprocess.Popen):
        def __init__(self, command, **options):
            commands.append(command)
            super().__init__(command, **options)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    clip = tmp_path / (text.replace("/", "_") + ".mp4")
    write_film(clip, noise(4), 4, (96, 64), FPS, metadata={"title": text})
    asset_sha256(clip, "clip")
    read_clip_tail(clip, 96, 64, FPS, 2)
    graphs = [after for command in commands for name, after in pairwise(command) if name in FILTER_OPTIONS]
    assert len(graphs) == 3  # of the film: its colours, and its check; of the clip: its size and rate
    assert [graph for graph in graphs if text in graph or clip.name in graph] == []


def test_probing_what_is_no_video_says_so(tmp_path):
    (tmp_path / "clip.mp4").write_text("a bear")
    with pytest.raises(MediaError, match=r"reading .*clip\.mp4: ffmpeg ended with"):
        probe(tmp_path / "clip.mp4")


def test_planning_imports_neither_torch_nor_ffmpeg():
    code = "import sys, ursa_ray.media; print(*{'torch', 'ray', 'imageio_ffmpeg'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""
