"""Where in the film one segment ends and the next begins.

A segment begins with the frames that it repeats of its parent, made again. Any of them may be the last that the film
takes from the parent; where both agree best a join shows least (decision 0007).
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from ursa_ray.plan import ParentCondition, Plan, Segment

# Frames [start, stop) of a segment, each uint8 (height, width, 3).
Read = Callable[[Segment, int, int], Iterator[np.ndarray]]


def cut_film(plan: Plan, read: Read) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of the film in order, each with the number of the segment that it is of; a few are held at a time."""
    held: list[np.ndarray] = []
    for number, segment in enumerate(plan.segments):
        frames = read(segment, segment.shown[0] - len(held), segment.shown[1])
        repeated = list(islice(frames, len(held)))
        num_kept = num_before_cut(held, repeated)
        yield from ((number - 1, frame) for frame in held[:num_kept])
        yield from ((number, frame) for frame in repeated[num_kept:])
        waiting: deque[np.ndarray] = deque()
        num_waiting = _num_repeated(plan, number)
        for frame in frames:
            waiting.append(frame)
            if len(waiting) > num_waiting:
                yield number, waiting.popleft()
        held = list(waiting)


def num_before_cut(given: Sequence[np.ndarray], repeated: Sequence[np.ndarray]) -> int:
    """How many of the frames that two segments share are the earlier one's: up to the one on which they agree best."""
    if not given:
        return 0
    differences = np.abs(np.stack(given).astype(np.int16) - np.stack(repeated)).mean(axis=(1, 2, 3))
    return int(differences.argmin()) + 1


def _num_repeated(plan: Plan, number: int) -> int:
    """How many of the last frames that a segment shows the next one in the film begins with."""
    if plan.cut == "end" or number + 1 == len(plan.segments):
        return 0
    segment, following = plan.segments[number : number + 2]
    condition = following.condition
    if not isinstance(condition, ParentCondition):
        return 0
    if (condition.key, condition.stop) != (segment.key, segment.shown[1]):
        return 0
    return min(following.shown[0], segment.shown[1] - segment.shown[0])
