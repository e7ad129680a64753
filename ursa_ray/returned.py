"""What a replica hands back is checked before it is used: it comes from another process, perhaps another machine."""

import math
import re
from dataclasses import dataclass
from typing import Self

import numpy as np

from ursa_ray.checkpoint import Checkpoint
from ursa_ray.errors import OutputError
from ursa_ray.exchange import Done, Step, codes_dtype
from ursa_ray.plan import Segment

SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_WORDS = 256


@dataclass(frozen=True)
class Expected:
    """What codes of a model look like: pixels and frames to a code, and how many codes there are."""

    temporal_stride: int
    spatial_stride: int
    num_codes: int

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Self:
        tokenizer = checkpoint.tokenizer
        return cls(tokenizer.temporal_stride, tokenizer.spatial_stride, checkpoint.transformer.lm_head_size)

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        return codes_dtype(self.num_codes)

    def shape(self, segment: Segment) -> tuple[int, int, int]:
        t = (segment.num_frames - 1) // self.temporal_stride + 1
        return t, segment.height // self.spatial_stride, segment.width // self.spatial_stride


def require_step(step: Step, segment: Segment) -> None:
    if type(step.done) is not int or not 0 <= step.done <= segment.steps or step.total != segment.steps:
        raise OutputError(f"{segment.name}: step {step.done!r} of {step.total!r} came back; it has {segment.steps}.")
    if type(step.has_preview) is not bool or not isinstance(step.warning, str):
        raise OutputError(f"{segment.name}: what came back with step {step.done} is neither a preview nor a warning.")
    if not isinstance(step.computes, str) or len(step.computes) > MAX_WORDS:
        raise OutputError(f"{segment.name}: how it is computed came back as {step.computes!r:.100}; expected words.")


def require_segment(done: Done, segment: Segment, expected: Expected) -> None:
    """Refuse what cannot be this segment.

    Raises:
        OutputError: codes of another shape or type, or that the model does not have; something that is no hash.
    """
    problem = _problem_of_codes(done.codes, expected, expected.shape(segment)) or _problem_of_rest(done)
    if problem is not None:
        raise OutputError(f"{segment.name}: {problem}.")


def _problem_of_codes(codes: object, expected: Expected, shape: tuple[int, int, int]) -> str | None:
    if not isinstance(codes, np.ndarray):
        return f"codes came back as {type(codes).__name__}; expected an array"
    if codes.dtype != expected.dtype or codes.shape != shape:
        return f"codes came back as {codes.dtype} {codes.shape}; expected {np.dtype(expected.dtype)} {shape}"
    if codes.max() >= expected.num_codes:
        return f"code {codes.max()} came back; expected 0 to {expected.num_codes - 1}"
    return None


def _problem_of_rest(done: Done) -> str | None:
    if not isinstance(done.frames_sha256, str) or not SHA256.fullmatch(done.frames_sha256):
        return f"the hash of its frames came back as {done.frames_sha256!r:.100}; expected 64 hexadecimal digits"
    for name in ("device", "dtype", "backends"):
        words = getattr(done, name)
        if not isinstance(words, str) or len(words) > MAX_WORDS:
            return f"{name} came back as {words!r:.100}; expected at most {MAX_WORDS} characters"
    if type(done.is_framed) is not bool:
        return f"is_framed came back as {done.is_framed!r:.100}; expected True or False"
    if type(done.num_threads) is not int or not 0 < done.num_threads < 2**31:
        return f"num_threads came back as {done.num_threads!r:.100}; expected a number of threads"
    if not isinstance(done.seconds, float) or not math.isfinite(done.seconds):
        return f"seconds came back as {done.seconds!r:.100}; expected how long it took"
    return None
