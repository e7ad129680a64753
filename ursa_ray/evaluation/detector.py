"""What a clip of the drawn world shows, found by classical vision.

The background is known exactly, so an object is what differs from it. Its shape is the one whose drawing at the same
place and of the same area differs least; its motion is the track of its centre. Nothing is learned.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ursa_ray.training import world

CONTRAST = 45.0  # in RGB; the drawn colours are 97 or more from the backgrounds, smoothed noise of sigma 6 is 4
MIN_AREA_PX = 20  # whole objects have 130 to 196; a star that a tokenizer lost leaves 12
MIN_AREA_AT_EDGE_PX = 6  # an object that comes or goes
UNIT_AREA = {"circle": np.pi, "square": 4.0, "triangle": 3 * np.sqrt(3)}  # of an inradius of 1
LAG = 4  # frames between the two ends of a step: a centre is known to about 0.1 px
MAX_STEP_PX = 16.0  # a longer one is a passage to the other side


@dataclass(frozen=True)
class Track:
    """The largest blob of every frame; where there is none, its centre is NaN and its colour None."""

    centres: np.ndarray
    """float (frames, 2), x and y, of what is visible."""
    areas: np.ndarray
    """int (frames,), in pixels."""
    cover: np.ndarray
    """float (frames, height, width): how much of each pixel the blob covers."""
    colours: list[str | None]
    at_edge: np.ndarray
    """bool (frames,): the blob touches the border of the frame."""
    num_strays: np.ndarray
    """int (frames,): blobs other than the largest."""

    @property
    def present(self) -> np.ndarray:
        return self.areas > 0


@dataclass(frozen=True)
class Detection:
    background: str
    colour: str | None
    shape: str | None
    direction: str | None
    speed: float | None
    """Pixels a frame."""
    track: Track


def detect(frames: np.ndarray) -> Detection:
    """Look at a clip, uint8 (frames, height, width, 3). What is not there, or does not move, is None."""
    background = background_of(frames)
    track = follow(frames, background)
    if not track.present.any():
        return Detection(background, None, None, None, None, track)
    seen = track.areas > 0.6 * track.areas.max()
    colour = Counter(track.colours[frame] for frame in np.flatnonzero(seen)).most_common(1)[0][0]
    shape, centres = _fit_shape(track, seen)
    direction, speed = _motion(centres, np.flatnonzero(seen))
    return Detection(background, colour, shape, direction, speed, track)


def background_of(frames: np.ndarray) -> str:
    """The background that is least away from the median pixel, so that an object does not count."""
    _, height, width, _ = frames.shape

    def error(name: str) -> float:
        return float(np.median(np.abs(frames - world.background(name, height, width)).sum(axis=-1)))

    return min(world.BACKGROUNDS, key=error)


def follow(frames: np.ndarray, background: str) -> Track:
    """Find the largest blob that differs from the background, in every frame."""
    num_frames, height, width, _ = frames.shape
    still = world.background(background, height, width)
    labels = label_blobs(np.linalg.norm(_smooth(frames - still), axis=-1) > CONTRAST)
    largest, areas, num_strays = np.zeros(labels.shape, bool), np.zeros(num_frames, int), np.zeros(num_frames, int)
    for frame, numbers in enumerate(labels):
        values, counts = np.unique(numbers[numbers > 0], return_counts=True)
        least = np.where(np.isin(values, _border(numbers)), MIN_AREA_AT_EDGE_PX, MIN_AREA_PX)
        areas[frame] = counts[counts >= least].max(initial=0)
        if areas[frame]:
            main = np.flatnonzero((counts >= least) & (counts == areas[frame]))[0]
            largest[frame] = numbers == values[main]
            num_strays[frame] = np.count_nonzero(np.delete(counts, main) >= MIN_AREA_PX)
    colours = [_colour_of(pixels[blob]) if blob.any() else None for pixels, blob in zip(frames, largest, strict=True)]
    cover = np.stack(
        [_cover(pixels, blob, still, name) for pixels, blob, name in zip(frames, largest, colours, strict=True)]
    )
    at_edge = np.array([_border(blob).any() for blob in largest])
    return Track(_centres(cover), areas, cover, colours, at_edge, num_strays)


def label_blobs(mask: np.ndarray) -> np.ndarray:
    """Number the blobs of a mask, bool (frames, height, width), joined over edges of pixels; 0 is outside."""
    labels = np.where(mask, np.arange(1, mask.size + 1, dtype=np.int32).reshape(mask.shape), 0)
    while True:
        wide = np.pad(labels, ((0, 0), (1, 1), (1, 1)))
        neighbours = wide[:, :-2, 1:-1], wide[:, 2:, 1:-1], wide[:, 1:-1, :-2], wide[:, 1:-1, 2:]
        spread = np.maximum.reduce([labels, *neighbours]) * mask
        if np.array_equal(spread, labels):
            return labels
        labels = spread


def _border(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _smooth(pixels: np.ndarray) -> np.ndarray:
    """Mean over 3 x 3 pixels: a blurred star is then like a sharp one."""
    for axis in (1, 2):
        wide = np.pad(pixels, [(1, 1) if axis == each else (0, 0) for each in range(4)], mode="edge")
        length = pixels.shape[axis]
        pixels = np.mean([wide.take(range(start, start + length), axis) for start in range(3)], axis=0)
    return pixels


def _colour_of(pixels: np.ndarray) -> str:
    """The colour that is nearest to most of the pixels, (n, 3)."""
    prototypes = np.array(list(world.COLOURS.values()), np.float32)
    nearest = np.linalg.norm(pixels[:, None] - prototypes, axis=-1).argmin(axis=1)
    return list(world.COLOURS)[np.bincount(nearest).argmax()]


def _cover(pixels: np.ndarray, blob: np.ndarray, still: np.ndarray, colour: str | None) -> np.ndarray:
    """How far each pixel of `blob` is on its way from the background to the colour or its rim, 0 to 1."""
    if colour is None:
        return np.zeros(blob.shape)
    shares = []
    for shade in (1.0, world.RIM):
        way = shade * np.array(world.COLOURS[colour]) - still
        shares.append(((pixels - still) * way).sum(axis=-1) / (way * way).sum(axis=-1))
    return np.clip(np.maximum(*shares), 0, 1) * blob


def _centres(cover: np.ndarray) -> np.ndarray:
    """Centroids, (frames, 2), x and y; NaN where nothing is covered."""
    _, height, width = cover.shape
    moments = np.stack(
        [cover @ np.arange(0.5, width) @ np.ones(height), np.arange(0.5, height) @ cover @ np.ones(width)]
    )
    with np.errstate(invalid="ignore"):
        return (moments / cover.sum(axis=(1, 2))).T


def _fit_shape(track: Track, seen: np.ndarray) -> tuple[str, np.ndarray]:
    """The shape whose drawing is most like the blob, and where its centres are, (frames, 2), NaN where not seen."""
    cover, visible = track.cover[seen], track.centres[seen]
    whole = cover[~track.at_edge[seen]].sum(axis=(1, 2))
    fits: dict[str, tuple[float, np.ndarray]] = {}
    for shape, inradius in world.INRADIUS_PX.items():
        grown = np.sqrt(np.median(whole) / UNIT_AREA[shape]) - inradius if len(whole) else 0.0
        centres = visible
        for _ in range(3):  # at an edge the centre of what is visible is not that of the shape
            drawn = _draw(shape, grown, centres, cover)
            centres = centres + np.nan_to_num(visible - _centres(drawn))
        fits[shape] = float(np.abs(_draw(shape, grown, centres, cover) - cover).mean()), centres
    best = min(fits, key=lambda shape: fits[shape][0])
    centres = np.full_like(track.centres, np.nan)
    centres[seen] = fits[best][1]
    return best, centres


def _draw(shape: str, grown: float, centres: np.ndarray, like: np.ndarray) -> np.ndarray:
    _, height, width = like.shape
    return np.clip(0.5 + grown - world.distance_to(shape, centres, height, width), 0, 1)


def _motion(centres: np.ndarray, seen: np.ndarray) -> tuple[str | None, float | None]:
    """Direction and pixels a frame, from the median step between frames LAG apart, or less where there are none."""
    for lag in range(LAG, 0, -1):
        starts = [frame for frame in seen if frame + lag in seen]
        steps = np.array([centres[frame + lag] - centres[frame] for frame in starts]).reshape(-1, 2)
        steps = steps[np.abs(steps).max(axis=1, initial=0) < MAX_STEP_PX] / lag
        if len(steps):
            step = np.median(steps, axis=0)
            along = {name: float(step @ np.array(way)) for name, way in world.DIRECTIONS.items()}
            direction = max(along, key=lambda name: along[name])
            return (direction, along[direction]) if along[direction] > 0.25 else (None, 0.0)
    return None, None
