"""What the user asked for: a storyboard's schema, its loading, and the checks that need no model."""

from ursa_ray.storyboard.durations import format_duration
from ursa_ray.storyboard.loading import load_storyboard, read_text
from ursa_ray.storyboard.schema import Beat, Output, Segment, Settings, Shot, Storyboard, Video

__all__ = [
    "Beat",
    "Output",
    "Segment",
    "Settings",
    "Shot",
    "Storyboard",
    "Video",
    "format_duration",
    "load_storyboard",
    "read_text",
]
