"""Do joins show, and does a segment go on as the one before? Chains of segments, and the tokenizer alone as the bar.

Frames that went through the tokenizer differ at a join even if nothing was generated: two segments decode the same
moment from other codes. So drawn films are encoded and decoded in the same windows; a join can hardly show less.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ursa_ray.evaluation.detector import detect
from ursa_ray.evaluation.figures import Figure, Mean, Rate, Ratio
from ursa_ray.evaluation.films import Take, chain_frames, cut, make_segments, plan_take
from ursa_ray.evaluation.seams import flicker, seam_ratio
from ursa_ray.plan import Plan
from ursa_ray.training import world

if TYPE_CHECKING:
    from ursa_ray.model import Ursa


def measure_chain(ursa: "Ursa", take: Take, num_extensions: int, **settings: Any) -> dict[str, Any]:
    """A row: a segment and its extensions as the pipeline makes them, and a drawn film in the same windows."""
    plan = plan_take(ursa.checkpoint, take, chain_frames(ursa.checkpoint, num_extensions), **settings)
    segments = make_segments(ursa, plan)
    film, joins = cut(plan, segments)
    alone, joins_alone = cut(plan, tokenizer_windows(ursa, take, plan))
    return {
        "prompt": take.prompt,
        "seed": take.seed,
        **kept(segments),
        "seam": seam_ratio(film, joins),
        "seam_alone": seam_ratio(alone, joins_alone),
        "flicker": flicker(film),
        "flicker_alone": flicker(alone),
    }


def tokenizer_windows(ursa: "Ursa", take: Take, plan: Plan) -> list[np.ndarray]:
    """The scene as drawn, encoded and decoded in the plan's windows."""
    windows = []
    for segment in plan.segments:
        drawn = world.draw(take.scene, segment.num_frames, plan.height, plan.width, segment.film[0] - segment.shown[0])
        windows.append(ursa.decode(ursa.encode(drawn)))
    return windows


def kept(segments: Sequence[np.ndarray]) -> dict[str, Any]:
    """What the first extension keeps of the first segment, and the last; an object that is not there keeps nothing."""
    first, extended, last = detect(segments[0]), detect(segments[1]), detect(segments[-1])
    return {
        "direction_kept": first.direction is not None and extended.direction == first.direction,
        "colour_kept": first.colour is not None and extended.colour == first.colour,
        "last_colour_kept": first.colour is not None and last.colour == first.colour,
        "last_present": float(last.track.present.mean()),
    }


def joins_figures(table: pa.Table) -> list[Figure]:
    figures: list[Figure] = []
    both = finite(table, "seam", "seam_alone")  # a film in which nothing moves has no ratio
    if both:
        seams, alone = zip(*both, strict=True)
        figures += [
            Mean("seam ratio", seams),
            Mean("seam ratio, tokenizer alone", alone),
            Ratio("seams over tokenizer alone", seams, alone),
        ]
    names = {
        "direction_kept": "direction kept, first extension",
        "colour_kept": "colour kept, first extension",
        "last_colour_kept": "colour kept, last extension",
    }
    figures += [Rate(name, int(np.sum(table[column].to_numpy())), len(table)) for column, name in names.items()]
    means = {
        "last_present": "object seen, last extension",
        "flicker": "flicker",
        "flicker_alone": "flicker, tokenizer alone",
    }
    figures += [Mean(name, tuple(table[column].to_pylist())) for column, name in means.items()]
    return figures


def finite(table: pa.Table, *columns: str) -> list[tuple[float, ...]]:
    """Rows of some columns, those left out that have no number in one of them."""
    rows = zip(*(table[column].to_pylist() for column in columns), strict=True)
    return [row for row in rows if np.isfinite(row).all()]
