"""Does a long film drift? Background, object and colour, second by second, of a film of one scene."""

import itertools

import numpy as np
import pyarrow as pa

from ursa_ray.evaluation.detector import Track, follow
from ursa_ray.evaluation.rates import Rate
from ursa_ray.training import world

MAX_PASSAGE_FRAMES = 9  # measured on drawn films with noise: 7 at most, at 1 px a frame
CLEAR_AREA_PX = 80  # of 130 to 196: less of an object, at an edge, is mostly its darker rim


def measure_drift(frames: np.ndarray, background: str, colour: str, fps: int = world.FPS) -> pa.Table:
    """One row a second of a film, uint8 (frames, height, width, 3), that should show `colour` over `background`.

    `background_error` is the mean absolute difference from the drawn background away from objects, in grey levels.
    `num_present` of `num_due` frames that should show an object do; in `num_right` of `num_clear` frames that show it
    clearly it has its colour. `num_strays` counts further blobs.
    """
    track = follow(frames, background)
    errors = background_errors(frames, background, track)
    due, clear = ~out_of_sight(track), track.areas >= CLEAR_AREA_PX
    right = np.array([each == colour for each in track.colours])
    rows = []
    for second, first in enumerate(range(0, len(frames), fps)):
        now = slice(first, first + fps)
        rows.append(
            {
                "second": second,
                "background_error": float(errors[now].mean()),
                "num_due": int(due[now].sum()),
                "num_present": int((due & track.present)[now].sum()),
                "num_clear": int(clear[now].sum()),
                "num_right": int((clear & right)[now].sum()),
                "num_strays": int(track.num_strays[now].sum()),
            }
        )
    return pa.Table.from_pylist(rows)


def background_ratio(table: pa.Table) -> float:
    """The largest background error of a second over that of the first."""
    errors = table["background_error"].to_numpy()
    return float(errors.max() / errors[0])


def drift_rates(table: pa.Table) -> list[Rate]:
    """How often the object is there, and has its colour, over the whole film."""
    num = {name: int(np.sum(table[name].to_numpy())) for name in table.column_names if name.startswith("num_")}
    pairs = [("object present", "num_present", "num_due"), ("colour kept", "num_right", "num_clear")]
    return [Rate(name, num[right], num[total]) for name, right, total in pairs if num[total]]


def background_errors(frames: np.ndarray, background: str, track: Track) -> np.ndarray:
    """Mean absolute difference of each frame from the drawn background, away from objects and the pixel around them."""
    _, height, width, _ = frames.shape
    errors = np.abs(frames - world.background(background, height, width)).mean(axis=-1)
    wide = np.pad(track.cover > 0, ((0, 0), (2, 2), (2, 2)))
    near = np.any([wide[:, y : y + height, x : x + width] for y in range(5) for x in range(5)], axis=0)
    return (errors * ~near).sum(axis=(1, 2)) / (~near).sum(axis=(1, 2))


def out_of_sight(track: Track) -> np.ndarray:
    """Frames in which the object is on its way to the other side: a short gap between blobs at an edge.

    A gap may also begin or end the film.
    """
    hidden = np.zeros(len(track.areas), bool)
    seen = np.flatnonzero(track.present)
    for last, following in itertools.pairwise([None, *seen, None]):
        around = [frame for frame in (last, following) if frame is not None]
        gap = slice(0 if last is None else last + 1, following)
        is_short = len(hidden[gap]) <= MAX_PASSAGE_FRAMES
        if around and is_short and track.at_edge[around].all():
            hidden[gap] = True
    return hidden
