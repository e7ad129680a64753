"""Pictures for people: a frame as PNG, many frames on one sheet, and a small one that moves."""

import io
import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ursa_ray.errors import MediaError
from ursa_ray.files import published
from ursa_ray.media.frames import require_frame

THUMBNAIL_PX = 320
PREVIEW_HEIGHT_PX = 160
MARGIN_PX = 12
FONT_PX, LABEL_GAP_PX, LABEL_HEIGHT_PX = 13, 4, 20
NOTE = "ursa-ray"
PNG = b"\x89PNG\r\n\x1a\n"
BACKGROUND, INK = "#161616", "#d8d8d8"

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont  # Pillow's own, without or with FreeType


def write_still(path: Path, frame: np.ndarray, title: str = "", note: str = "") -> None:
    """Publish a frame as PNG, perhaps with a title for people and a note, which `peek_note` gives back."""
    publish_png(path, picture(frame), note, title)


def write_contact_sheet(path: Path, frames: Sequence[tuple[str, np.ndarray]], columns: int | None = None) -> None:
    """Publish labelled frames as a grid of thumbnails, row by row; by default about as many rows as columns.

    Frames may differ in size. A label is cut to the width of its thumbnail and shows ? for what is not ASCII.
    """
    if not frames:
        raise MediaError(f"{path}: a contact sheet of no frames; at least one was expected")
    labels = [label for label, _ in frames]
    thumbnails = [thumbnail(frame) for _, frame in frames]
    if columns is None:
        columns = math.ceil(math.sqrt(len(frames)))
    rows = math.ceil(len(frames) / columns)
    cell_width = max(image.width for image in thumbnails) + MARGIN_PX
    cell_height = max(image.height for image in thumbnails) + LABEL_HEIGHT_PX + MARGIN_PX

    sheet = Image.new("RGB", (columns * cell_width + MARGIN_PX, rows * cell_height + MARGIN_PX), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_PX)
    for index, (label, image) in enumerate(zip(labels, thumbnails, strict=True)):
        row, column = divmod(index, columns)
        left, top = MARGIN_PX + column * cell_width, MARGIN_PX + row * cell_height
        sheet.paste(image, (left, top))
        draw.text((left, top + image.height + LABEL_GAP_PX), fitting(label, font, image.width), INK, font)
    publish_png(path, sheet)


def preview_webp(frames: np.ndarray, fps: Fraction) -> bytes:
    """Frames (n, h, w, 3) as a WebP that plays at their rate again and again, at most 160 pixels high.

    Pictures that follow one another unchanged are one that is shown for longer.
    """
    pictures = [picture(frame) for frame in frames]
    for image in pictures:
        image.thumbnail((image.width, PREVIEW_HEIGHT_PX), Image.Resampling.LANCZOS)
    # WebP counts in milliseconds: rounded one by one, frames would not keep the rate.
    ends_ms = [round(1000 * number / fps) for number in range(len(frames) + 1)]
    durations_ms = [end - start for start, end in pairwise(ends_ms)]
    content = io.BytesIO()
    # Of 49 frames, 256x160: method 2 takes 0.11 s for 0.20 MB, method 4 0.22 s for 0.19 (one CPU core).
    pictures[0].save(
        content, "WEBP", save_all=True, append_images=pictures[1:], duration=durations_ms, loop=0, method=2
    )
    return content.getvalue()


def fitting(label: str, font: Font, width_px: int) -> str:
    text = " ".join(label.encode("ascii", "replace").decode().split())[:width_px]
    while font.getlength(text) > width_px:
        text = text[:-1]
    return text


def picture(frame: np.ndarray) -> Image.Image:
    require_frame(frame, 0, frame.shape)
    return Image.fromarray(frame)


def thumbnail(frame: np.ndarray) -> Image.Image:
    image = picture(frame)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    return image


def write_grid(path: Path, pictures: Sequence[Path], columns: int, note: str) -> None:
    """Publish pictures of one size as one PNG, row by row, with a note in it that `read_note` gives back."""
    images = [Image.open(each) for each in pictures]
    width, height = images[0].size
    grid = Image.new("RGB", (columns * width, math.ceil(len(images) / columns) * height))
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        with image:
            grid.paste(image, (column * width, row * height))
    publish_png(path, grid, note)


def read_note(path: Path) -> str | None:
    """The note of a PNG that is whole; None if it is damaged or has none."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
            return image.info.get(NOTE)
    except (OSError, SyntaxError):  # Pillow's word for a damaged PNG
        return None


def is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PNG)) == PNG


def png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG, whose picture may be damaged.

    Raises:
        MediaError: it is none.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path}: is no PNG ({error})") from error


def peek_note(path: Path) -> str | None:
    """The note of a PNG whose picture may be damaged; None if it has none."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get(NOTE)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def publish_png(path: Path, image: Image.Image, note: str = "", title: str = "") -> None:
    notes = PngInfo()
    for name, text in (("Title", title), (NOTE, note)):
        if text:
            notes.add_text(name, text)
    with published(path) as aside:
        image.save(aside, format="PNG", pnginfo=notes)
