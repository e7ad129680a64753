"""What is the same for all segments of a film: size, frame rate, window and overlap."""

from dataclasses import dataclass
from fractions import Fraction

from ursa_ray.checkpoint import Checkpoint, default_overlap
from ursa_ray.errors import StoryboardError
from ursa_ray.plan.segments import Cut
from ursa_ray.storyboard import Storyboard

# As in the published script for long videos.
COND_NOISE = 0.1


@dataclass(frozen=True)
class Frame:
    """What is the same for all segments of a film. `overlap` and `frames` in frames, sizes in pixels.

    Segments of one frame are images: nothing of them can condition another, so that their overlap is 0.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    overlap: int
    cond_noise: float
    restore_condition: bool
    cut: Cut

    @property
    def is_still(self) -> bool:
        return self.frames == 1


def resolve_frame(storyboard: Storyboard, checkpoint: Checkpoint) -> Frame:
    """Size, rate and window of a film.

    Raises:
        StoryboardError: the model cannot make that, or neither it nor the storyboard says what size.
    """
    defaults, tokenizer, where = checkpoint.defaults, checkpoint.tokenizer, storyboard.where
    video, segment = storyboard.video, storyboard.segment
    if not checkpoint.makes_video and segment.frames != 1:
        raise StoryboardError(
            f"{where('model')}: {storyboard.model} makes images only, "
            "expected a video model such as BAAI/URSA-1.7B-FSQ320."
        )
    width, height = video.width or defaults.width, video.height or defaults.height
    if width is None or height is None:
        raise StoryboardError(
            f"{where('video')}: width and height are missing, and {storyboard.model} has no default. "
            "Give both, such as video: {width: 512, height: 320}."
        )
    for key, size in (("width", width), ("height", height)):
        _check_multiple(f"{where('video', key)}: {key}", size, tokenizer.spatial_stride)
    frames = segment.frames or defaults.frames
    overlap = segment.overlap if segment.overlap is not None else _default_overlap(frames, checkpoint)
    if frames > 1:
        _check_window(storyboard, checkpoint, frames, overlap)
    return Frame(
        width=width,
        height=height,
        fps=video.fps or defaults.fps,
        frames=frames,
        overlap=overlap,
        cond_noise=COND_NOISE if segment.cond_noise is None else segment.cond_noise,
        restore_condition=segment.join != "published",
        cut="end" if segment.join in ("restored", "published") else "agreeing",
    )


def _default_overlap(frames: int, checkpoint: Checkpoint) -> int:
    if frames == 1:
        return 0
    if frames == checkpoint.defaults.frames:
        return checkpoint.defaults.overlap
    return default_overlap(frames, checkpoint.tokenizer.temporal_stride)


def _check_multiple(what: str, size: int, stride: int) -> None:
    if size % stride:
        below = size - size % stride
        nearest = " or ".join(str(near) for near in (below, below + stride) if near)
        raise StoryboardError(f"{what} is {size}, expected a multiple of {stride} such as {nearest}.")


def _check_window(storyboard: Storyboard, checkpoint: Checkpoint, frames: int, overlap: int) -> None:
    stride = checkpoint.tokenizer.temporal_stride
    for key, number in (("frames", frames), ("overlap", overlap)):
        if number < 1 or (number - 1) % stride:
            below = max(1, number - (number - 1) % stride)
            raise StoryboardError(
                f"{storyboard.where('segment', key)}: {key} is {number}, "
                f"expected 1 more than a multiple of {stride}, such as {below} or {below + stride}."
            )
    if overlap >= frames:
        raise StoryboardError(
            f"{storyboard.where('segment', 'overlap')}: overlap is {overlap}, "
            f"expected less than the {frames} frames of a segment."
        )
    longest = getattr(checkpoint.tokenizer, "sample_frames", frames)
    if frames > longest:
        raise StoryboardError(
            f"{storyboard.where('segment', 'frames')}: frames is {frames}, expected at most {longest}, "
            f"the longest clip that {storyboard.model} makes. A longer shot becomes several segments by itself."
        )
