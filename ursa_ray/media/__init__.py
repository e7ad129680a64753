"""Frames to files and back: mezzanines, films, stills, and the images and clips that a storyboard names.

A frame is a uint8 array (height, width, 3), RGB; a frame rate is a `Fraction`. Frames are streamed: only
`write_mezzanine`, `read_clip_tail` and `cut_film` hold more than one at a time, of one segment.

What is written appears whole or not at all: it is made aside, checked, synced and renamed into place. Errors
are `MediaError`, `AssetError` for what the user gave, and the `OSError` of a folder that cannot be written.
"""

from ursa_ray.media.assets import asset_sha256, read_clip_tail, read_image
from ursa_ray.media.codecs import CODECS, H264, Codec, choose_codec
from ursa_ray.media.cuts import Read, cut_film, num_before_cut
from ursa_ray.media.ffmpeg import MAX_PICTURE_PX, encoders, ffmpeg_sha256, ffmpeg_version, require_encoder
from ursa_ray.media.film import FilmReport, write_film
from ursa_ray.media.frames import Watch, exactly, frames_sha256, resized, unwatched
from ursa_ray.media.mezzanine import read_mezzanine, write_mezzanine
from ursa_ray.media.probe import VideoInfo, probe
from ursa_ray.media.retime import nearest_frame, nearest_frames, num_retimed
from ursa_ray.media.stills import (
    is_png,
    peek_note,
    png_size,
    preview_webp,
    read_note,
    write_contact_sheet,
    write_grid,
    write_still,
)
from ursa_ray.media.tags import read_tags

__all__ = [
    "CODECS",
    "H264",
    "MAX_PICTURE_PX",
    "Codec",
    "FilmReport",
    "Read",
    "VideoInfo",
    "Watch",
    "asset_sha256",
    "choose_codec",
    "cut_film",
    "encoders",
    "exactly",
    "ffmpeg_sha256",
    "ffmpeg_version",
    "frames_sha256",
    "is_png",
    "nearest_frame",
    "nearest_frames",
    "num_before_cut",
    "num_retimed",
    "peek_note",
    "png_size",
    "preview_webp",
    "probe",
    "read_clip_tail",
    "read_image",
    "read_mezzanine",
    "read_note",
    "read_tags",
    "require_encoder",
    "resized",
    "unwatched",
    "write_contact_sheet",
    "write_film",
    "write_grid",
    "write_mezzanine",
    "write_still",
]
