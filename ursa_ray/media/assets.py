"""The images and clips that a storyboard names: anyone's files, opened as if they were hostile."""

import stat
import warnings
from collections import deque
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ursa_ray.errors import AssetError, MediaError
from ursa_ray.files import file_sha256
from ursa_ray.media.ffmpeg import FORMATS, MAX_PICTURE_PX
from ursa_ray.media.frames import decode_frames
from ursa_ray.storyboard.loading import MAX_ASSET_BYTES

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP")
MAX_CLIP_S = 3600  # a small file can claim a picture that lasts for years

# The turn that undoes each EXIF orientation; 1 is upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def asset_sha256(path: Path, kind: Literal["image", "clip"]) -> str:
    """The hash of the file, once it is known to be usable: an image decodes, a clip has a first frame.

    `AssetError` if it is missing, not a regular file, too big, or not what `kind` says.
    """
    if kind == "image":
        open_image(path)
    else:
        require_clip(path)
    return file_sha256(path)


def read_image(path: Path, width: int, height: int) -> np.ndarray:
    """An image as a frame (height, width, 3): upright, scaled to cover the frame, cut about its centre.

    What is transparent is black. Colour profiles are ignored; an animation gives its first picture.
    """
    image = opaque(upright(open_image(path)))
    return np.array(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))


def read_clip_tail(path: Path, width: int, height: int, fps: Fraction, num_frames: int) -> np.ndarray:
    """The last frames (num_frames, height, width, 3) of a clip at `fps`, scaled and cut like an image.

    The whole clip is decoded; only `num_frames` frames are held. `AssetError` if it has fewer or is damaged.
    """
    require_file(path, MAX_ASSET_BYTES["video"])
    tail: deque[np.ndarray] = deque(maxlen=num_frames)
    try:
        for index, frame in enumerate(decode_frames(path, f"fps={fps}", *covering(width, height))):
            if index >= MAX_CLIP_S * fps:
                raise AssetError(f"{path}: the clip is longer than {MAX_CLIP_S} s. Cut it: only its end is used.")
            tail.append(frame)
    except MediaError as error:
        raise unusable_clip(path, error) from error
    if len(tail) < num_frames:
        raise AssetError(
            f"{path}: the clip has {len(tail)} frames at {fps} per second; expected at least {num_frames}, "
            f"which last {float(num_frames / fps):.2f} s. Give a longer clip."
        )
    return np.stack(tail)


def covering(width: int, height: int) -> list[str]:
    """Filters that scale a picture to cover a size and cut the rest. `dar` is its aspect as shown."""
    scaled_width, scaled_height = f"ceil(max({width},{height}*dar))", f"ceil(max({height},{width}/dar))"
    scale = f"scale=w='{scaled_width}':h='{scaled_height}':flags=lanczos+accurate_rnd+full_chroma_int+bitexact"
    return [scale, "format=rgb24", f"crop={width}:{height}"]  # RGB, so that the cut is not rounded to chroma


def require_file(path: Path, max_bytes: int) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise AssetError(f"{path}: cannot be opened ({reason}). Expected an image or a clip.") from error
    if not stat.S_ISREG(status.st_mode):
        raise AssetError(f"{path}: is not a regular file; expected an image or a clip.")
    if status.st_size > max_bytes:
        raise AssetError(f"{path}: has {status.st_size} bytes; expected at most {max_bytes}. Make it smaller.")


def require_clip(path: Path) -> None:
    require_file(path, MAX_ASSET_BYTES["video"])
    try:
        with closing(decode_frames(path)) as frames:
            if next(frames, None) is None:
                raise MediaError("it has no frames")
    except MediaError as error:
        raise unusable_clip(path, error) from error


def unusable_clip(path: Path, error: MediaError) -> AssetError:
    return AssetError(f"{path}: is no whole {FORMATS} video ({error}). Convert it to MP4.")


def open_image(path: Path) -> Image.Image:
    """An image, decoded; how it is turned is not yet looked at."""
    require_file(path, MAX_ASSET_BYTES["image"])
    try:
        # What Pillow warns of is either harmless metadata or a size that is refused here.
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=IMAGE_FORMATS) as image:
            require_size(path, image)
            image.load()
            return image
    except UnidentifiedImageError as error:
        raise AssetError(f"{path}: is not a PNG, JPEG or WEBP image. Convert it to PNG.") from error
    except Image.DecompressionBombError as error:
        raise AssetError(f"{path}: has more than {MAX_PICTURE_PX} pixels. Shrink it.") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damage
        raise AssetError(f"{path}: is damaged: {error}. Export it again.") from error


def upright(image: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose writes all tags anew, and fails on photographs with an odd one.
    turn = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def require_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PICTURE_PX:
        raise AssetError(
            f"{path}: is {image.width}x{image.height}; expected at most {MAX_PICTURE_PX} pixels. Shrink it."
        )


def opaque(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would cut such values at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    black = Image.new("RGBA", image.size, "black")
    return Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
