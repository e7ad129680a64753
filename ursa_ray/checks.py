"""What a replica returns, looked at before it is believed: the replica may be broken, or another's."""

import re

import numpy as np

from ursa_ray.checkpoint import Checkpoint
from ursa_ray.plan import Segment

SHA256 = re.compile("[0-9a-f]{64}")


def wrong_output(segment: Segment, checkpoint: Checkpoint, codes: object, frames_sha256: object) -> str | None:
    """What is wrong with a segment's codes and the name of its frames; None if nothing is."""
    shape = checkpoint.codes_shape(segment.num_frames, segment.height, segment.width)
    num_codes = checkpoint.transformer.lm_head_size
    dtype = np.dtype(np.uint16 if num_codes <= 2**16 else np.uint32)
    if not isinstance(codes, np.ndarray):
        return f"its replica gave {type(codes).__name__} for codes, expected an array"
    if (codes.dtype, codes.shape) != (dtype, shape):
        return f"its replica gave codes {codes.dtype} {codes.shape}, expected {dtype} {shape}"
    if (largest := int(codes.max())) >= num_codes:
        return f"its replica gave the code {largest}, expected less than {num_codes}"
    if not (isinstance(frames_sha256, str) and SHA256.fullmatch(frames_sha256)):
        return f"its replica called the frames {frames_sha256!r:.80}, expected the hash of them"  # a file's name
    return None
