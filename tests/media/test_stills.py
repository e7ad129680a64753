import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageSequence

from ursa_ray.errors import MediaError
from ursa_ray.media import preview_webp, write_contact_sheet, write_still


def opened(path):
    with Image.open(path) as image:
        image.load()
        return image


def test_a_still_is_the_frame_without_loss(tmp_path, noise):
    frame = noise(1)[0]
    write_still(tmp_path / "still.png", frame)
    np.testing.assert_array_equal(np.array(opened(tmp_path / "still.png")), frame)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_still_of_something_else_than_a_frame_is_refused(tmp_path):
    with pytest.raises(MediaError, match=r"frames\[0\] is float32"):
        write_still(tmp_path / "still.png", np.zeros((8, 8, 3), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_contact_sheet_shows_every_frame_row_by_row(tmp_path):
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]
    frames = [(f"shot {i}", np.full((64, 96, 3), colour, np.uint8)) for i, colour in enumerate(colours)]
    write_contact_sheet(tmp_path / "sheet.png", frames, columns=2)
    sheet = opened(tmp_path / "sheet.png")
    cell_width, cell_height = sheet.width // 2, sheet.height // 3
    centres = [(index % 2 * cell_width + 60, index // 2 * cell_height + 40) for index in range(5)]
    assert [sheet.getpixel(centre) for centre in centres] == colours


def test_a_contact_sheet_has_the_same_bytes_each_time(tmp_path, noise):
    frames = [(f"shot {index}", frame) for index, frame in enumerate(noise(5))]
    write_contact_sheet(tmp_path / "a.png", frames)
    write_contact_sheet(tmp_path / "b.png", frames)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_large_frames_and_frames_of_several_sizes_become_thumbnails(tmp_path):
    sizes = [(1080, 1920), (1920, 1080), (64, 96)]
    frames = [(f"{h}x{w}", np.zeros((h, w, 3), np.uint8)) for h, w in sizes]
    write_contact_sheet(tmp_path / "sheet.png", frames)
    assert opened(tmp_path / "sheet.png").width < 3 * 320


@pytest.mark.parametrize(
    "label",
    ["", "two\nlines", "\u718a", "w" * 5000, "%d \\ ' \""],
    ids=["empty", "lines", "unicode", "long", "signs"],
)
def test_any_label_is_drawn_within_its_cell(tmp_path, noise, label):
    write_contact_sheet(tmp_path / "plain.png", [("plain", noise(1)[0])])
    write_contact_sheet(tmp_path / "sheet.png", [(label, noise(1)[0])])
    assert opened(tmp_path / "sheet.png").size == opened(tmp_path / "plain.png").size


def test_a_contact_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(MediaError, match="no frames"):
        write_contact_sheet(tmp_path / "sheet.png", [])


def pictures(content):
    with Image.open(io.BytesIO(content)) as image:
        return [(each.size, each.load() and each.info["duration"]) for each in ImageSequence.Iterator(image)]


def test_a_preview_plays_at_the_rate_of_the_film_and_is_small():
    frames = np.random.default_rng(0).integers(0, 256, (24, 320, 512, 3), dtype=np.uint8)
    shown = pictures(preview_webp(frames, Fraction(24000, 1001)))
    assert [size for size, _ in shown] == [(256, 160)] * 24
    assert sum(duration for _, duration in shown) == 1001
    assert {duration for _, duration in shown} == {41, 42}


def test_a_small_film_is_not_made_larger_for_its_preview():
    frames = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    assert [size for size, _ in pictures(preview_webp(frames, Fraction(12)))] == [(64, 48)] * 2
