"""How a shot is cut into windows of the model, each of which begins with frames that are already there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """`given` leading frames repeat what came before; the next `num_new` frames are the shot's, from `start` on."""

    start: int
    num_new: int
    given: int

    @property
    def stop(self) -> int:
        return self.start + self.num_new

    @property
    def shown(self) -> tuple[int, int]:
        return self.given, self.given + self.num_new


def split(num_frames: int, frames: int, overlap: int, first_given: int = 0) -> list[Window]:
    """Windows of `frames` frames that cover a shot of `num_frames`; the last is generated whole and cut.

    `first_given` frames of the first window are there before the shot begins: the end of another shot or of a clip.
    """
    windows, start, given = [], 0, first_given
    while start < num_frames:
        num_new = min(frames - given, num_frames - start)
        windows.append(Window(start, num_new, given))
        start, given = start + num_new, overlap
    return windows


def tail(stop: int, overlap: int, stride: int) -> tuple[int, int]:
    """The last frames before `stop` that can condition a window: at most `overlap`, and 1 more than whole strides."""
    num_frames = min(overlap, stop)
    num_frames -= (num_frames - 1) % stride
    return stop - num_frames, stop
