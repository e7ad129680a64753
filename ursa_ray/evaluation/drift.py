"""Does a long film drift? Background, object, colour and flicker, second by second, of films of one scene each."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ursa_ray.evaluation.detector import Track, follow
from ursa_ray.evaluation.figures import Figure, Mean, Rate
from ursa_ray.evaluation.films import Take, cut, make_segments, plan_take, sample_take
from ursa_ray.evaluation.seams import frame_flicker
from ursa_ray.training import world

if TYPE_CHECKING:
    from ursa_ray.model import Ursa

MAX_PASSAGE_FRAMES = 9  # measured on drawn films with noise: 7 at most, at 1 px a frame
CLEAR_AREA_PX = 80  # of 130 to 196: less of an object, at an edge, is mostly its darker rim


END_S = 5  # what counts as the end of a film


def sample_films(num: int, seed: int) -> list[Take]:
    """Held-out prompts over every background in turn."""
    rng = np.random.default_rng(seed)
    return [sample_take(rng, seed + index, world.BACKGROUNDS[index % len(world.BACKGROUNDS)]) for index in range(num)]


def measure_film(ursa: "Ursa", take: Take, seconds: int, **settings: Any) -> list[dict[str, Any]]:
    """The rows of `measure_seconds` of a film as the pipeline makes it."""
    fps = ursa.checkpoint.defaults.fps
    plan = plan_take(ursa.checkpoint, take, round(seconds * fps), **settings)
    frames, _ = cut(plan, make_segments(ursa, plan))
    rows = measure_seconds(frames, take.scene.background, take.scene.colour, round(fps)).to_pylist()
    return [{"prompt": take.prompt, "seed": take.seed, "background": take.scene.background, **row} for row in rows]


def measure_seconds(frames: np.ndarray, background: str, colour: str, fps: int = world.FPS) -> pa.Table:
    """One row a second of a film, uint8 (frames, height, width, 3), that should show `colour` over `background`.

    `background_error` is the mean absolute difference from the drawn background away from objects, in grey levels.
    `num_present` of `num_due` frames that should show an object do; in `num_right` of `num_clear` frames that show it
    clearly it has its colour. `num_strays` counts further blobs; `flicker` is in grey levels.
    """
    track = follow(frames, background)
    errors = background_errors(frames, background, track)
    due, clear = ~out_of_sight(track), track.areas >= CLEAR_AREA_PX
    right = np.array([each == colour for each in track.colours])
    flickers = np.pad(frame_flicker(frames), 1, mode="edge")
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
                "num_frames": len(errors[now]),
                "flicker": float(flickers[now].mean()),
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


def drift_figures(table: pa.Table) -> list[Figure]:
    """Means over films; `table` has the rows of `measure_film` of all of them."""
    films = [_film_row(rows) for rows in _split_by(table, "seed")]
    figures: list[Figure] = []
    for name in dict.fromkeys(name for film in films for name in film):
        figures.append(Mean(name, tuple(film[name] for film in films if name in film)))
    return figures


def _film_row(film: pa.Table) -> dict[str, float]:
    errors, num_frames = film["background_error"].to_numpy(), np.sum(film["num_frames"].to_numpy())
    return {
        "background error, worst second over first": background_ratio(film),
        "background error, end over first second": float(errors[-END_S:].mean() / errors[0]),
        **{rate.name: rate.value for rate in drift_rates(film)},
        "strays a frame": float(np.sum(film["num_strays"].to_numpy()) / num_frames),
        "flicker": float(np.average(film["flicker"].to_numpy(), weights=film["num_frames"].to_numpy())),
    }


def by_second(table: pa.Table) -> pa.Table:
    """One row a second, over all films."""
    rows = []
    for now in _split_by(table, "second"):
        num = {name: int(np.sum(now[name].to_numpy())) for name in now.column_names if name.startswith("num_")}
        rows.append(
            {
                "second": now["second"][0].as_py(),
                "background_error": float(np.mean(now["background_error"].to_numpy())),
                "object_present": num["num_present"] / num["num_due"] if num["num_due"] else None,
                "colour_kept": num["num_right"] / num["num_clear"] if num["num_clear"] else None,
                "strays": num["num_strays"] / num["num_frames"],
                "flicker": float(np.mean(now["flicker"].to_numpy())),
            }
        )
    return pa.Table.from_pylist(rows)


def _split_by(table: pa.Table, column: str) -> list[pa.Table]:
    values = table[column].to_numpy()
    return [table.filter(pa.array(values == value)) for value in np.unique(values)]


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
