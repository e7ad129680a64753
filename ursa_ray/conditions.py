"""Frames that segments begin with: the end of their parent, a picture, the end of a clip."""

from collections import OrderedDict

import numpy as np
import torch

from ursa_ray.exchange import Request
from ursa_ray.ledger import Store
from ursa_ray.media import read_clip_tail, read_image
from ursa_ray.model import Ursa
from ursa_ray.plan import ClipCondition, ImageCondition, ParentCondition

# Decoded segments that are kept: a child mostly runs where its parent did.
NUM_KEPT = 2


class Conditions:
    def __init__(self, ursa: Ursa):
        self._ursa = ursa
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()

    def frames_before(self, request: Request, store: Store) -> np.ndarray | None:
        """What a segment begins with: uint8 (frames, height, width, 3)."""
        segment = request.segment
        match segment.condition:
            case None:
                return None
            case ParentCondition(key, start, stop):
                assert request.parent_codes is not None, segment.name
                return self.decoded(key, request.parent_codes)[start:stop]
            case ImageCondition(sha256):
                with store.reading(f"assets/{sha256}") as path:
                    return read_image(path, segment.width, segment.height)[None]
            case ClipCondition(sha256, _, num_frames, fps):
                with store.reading(f"assets/{sha256}") as path:
                    return read_clip_tail(path, segment.width, segment.height, fps, num_frames)

    def decoded(self, key: str, codes: np.ndarray) -> np.ndarray:
        """Frames of a segment, rounded to bytes as the film shows them, so that a child sees what the viewer saw."""
        if key not in self._kept:
            self._kept[key] = self._ursa.decode(torch.from_numpy(codes.astype(np.int64)))
        self._kept.move_to_end(key)
        while len(self._kept) > NUM_KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]
