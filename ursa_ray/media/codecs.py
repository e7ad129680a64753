"""What a film can be encoded as, and what ffmpeg must be told to do it in the same bytes everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, Self

from ursa_ray.errors import OptionError
from ursa_ray.media.probe import VideoInfo


@dataclass(frozen=True)
class Codec:
    """One way to encode a film.

    Attributes:
        suffix: of its files; "" where the film is a folder of numbered pictures.
        encoder: what ffmpeg calls it.
        filters: from RGB to the pixels that it takes.
        options, container: ffmpeg's arguments for the encoder and for the file around it.
        check: how a file is known to hold the film. "frames": without loss, so it decodes to the very frames.
            "stream": it decodes to what the encoder's own stream decodes to. "times": its pictures are shown when
            and as often as planned, and no more is known.
        crf: quality, where there is a scale from 0 (best) to 51.
        gop_s: seconds from one key frame to the next at most; None where it is the codec's own business.
        is_halved: colour has half the resolution, so that width and height must be even.
        max_fps: more is not shown as asked for.
    """

    name: str
    suffix: str
    encoder: str
    filters: str
    options: tuple[str, ...]
    container: tuple[str, ...]
    check: Literal["frames", "stream", "times"]
    crf: int | None = None
    gop_s: int | None = None
    is_halved: bool = False
    max_fps: int | None = None

    @property
    def is_folder(self) -> bool:
        return self.suffix == ""

    @property
    def keeps_tags(self) -> bool:
        """Whether its files hold a comment; ffmpeg writes none into GIF, WebP and PNG."""
        return self.suffix in (".mp4", ".mov", ".mkv")

    def with_crf(self, crf: int) -> Self:
        """With another quality. `OptionError` if the codec has no such scale."""
        if self.crf is None:
            scaled = ", ".join(codec.name for codec in CODECS.values() if codec.crf is not None)
            raise OptionError(f"{self.name} has no crf. Leave it out, or choose a codec that has one: {scaled}.")
        return replace(self, crf=crf)

    def misfit(self, film: VideoInfo) -> str | None:
        """Why such a film cannot be encoded so; None if it can."""
        if self.is_halved and (film.width % 2 or film.height % 2):
            return f"{self.name} takes films of even width and height, not {film.width}x{film.height}"
        if self.max_fps is not None and film.fps > self.max_fps:
            return f"{self.name} shows at most {self.max_fps} frames a second, not {film.fps}"
        return None

    def arguments(self, fps: Fraction) -> list[str]:
        quality = [] if self.crf is None else ["-crf", str(self.crf)]
        gop = [] if self.gop_s is None else ["-g", str(max(1, round(self.gop_s * fps)))]
        return ["-c:v", self.encoder, *self.options, *quality, *gop]


def bt709(pixel_format: str) -> str:
    return (
        f"scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bitexact,format={pixel_format},"
        "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    )


MP4 = ("-movflags", "+faststart", "-f", "mp4")
# Else its tags end at 64 KB.
MOV = ("-movflags", "+faststart+use_metadata_tags", "-f", "mov")

H264 = Codec(
    "h264",
    ".mp4",
    "libx264",
    bt709("yuv420p"),
    # Without a profile: it is High by itself, and High 4:4:4 Predictive at crf 0, which is without loss.
    ("-x264-params", "cpu-independent=1:open-gop=0"),
    MP4,
    check="stream",
    crf=18,
    gop_s=2,
    is_halved=True,
)
HEVC = Codec(
    "hevc",
    ".mp4",
    "libx265",
    bt709("yuv420p"),
    # Its threads are pinned here, not by -threads: with wavefronts other slices, so other bytes, than without. No
    # version in the stream (info). hvc1 is the tag that Apple's players want.
    ("-x265-params", "log-level=error:info=0:open-gop=0:pools=4:frame-threads=1:wpp=1", "-tag:v", "hvc1"),
    MP4,
    check="stream",
    crf=20,
    gop_s=2,
    is_halved=True,
)
PRORES = Codec(
    "prores",
    ".mov",
    "prores_ks",
    bt709("yuv422p10le"),
    ("-profile:v", "hq", "-vendor", "apl0"),
    MOV,
    check="stream",
    is_halved=True,
)
FFV1 = Codec(
    "ffv1",
    ".mkv",
    "ffv1",
    # bgr0 is its 8-bit RGB: nothing is converted, so nothing is lost.
    "format=bgr0,setparams=color_primaries=bt709:color_trc=bt709",
    ("-level", "3", "-g", "1", "-slices", "4", "-slicecrc", "1"),
    ("-f", "matroska"),
    check="frames",
)
PNG = Codec("png", "", "png", "format=rgb24", (), ("-start_number", "0", "-f", "image2"), check="frames")
GIF = Codec(
    "gif",
    ".gif",
    "gif",
    # A palette for each frame: one for all is found only after all frames were held in memory.
    "split[shown][counted];[counted]palettegen=stats_mode=single[palette];"
    "[shown][palette]paletteuse=new=1:dither=sierra2_4a",
    (),
    ("-loop", "0", "-f", "gif"),
    check="stream",
    max_fps=50,  # browsers show what is meant for less than 0.02 s for 0.1 s
)
WEBP = Codec(
    "webp",
    ".webp",
    "libwebp_anim",
    "format=bgra",
    ("-quality", "80"),
    ("-loop", "0", "-f", "webp"),
    # libwebp hands out a whole file, not a stream, and joins pictures that follow one another unchanged.
    check="times",
)

CODECS = {codec.name: codec for codec in (H264, HEVC, PRORES, FFV1, PNG, GIF, WEBP)}


def choose_codec(path: Path, name: str | None = None) -> Codec:
    """The codec of a name, or the first that writes such files as `path`.

    Raises:
        OptionError: there is none, or it does not go with the file's suffix.
    """
    if name is not None and name not in CODECS:
        raise OptionError(f"codec {name!r} is not known. Known: {', '.join(CODECS)}.")
    suffix = path.suffix.lower()
    if name is None:
        found = [codec for codec in CODECS.values() if codec.suffix == suffix]
        if not found:
            raise OptionError(f"{path}: no codec writes {suffix} files. Known: {_listed(list(CODECS.values()))}.")
        return found[0]
    codec = CODECS[name]
    if codec.suffix != suffix:
        raise OptionError(f"{path}: does not go with the codec. Expected: {_listed([codec])}.")
    return codec


def _listed(codecs: Sequence[Codec]) -> str:
    return ", ".join(f"{codec.suffix or 'a folder, so a name without suffix,'} for {codec.name}" for codec in codecs)
