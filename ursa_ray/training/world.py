"""The drawn world: one coloured shape moves over a simple background.

A world small enough that a model of a few million parameters learns it in hours on a CPU, and known exactly: what a
clip shows is a `Scene`, so a generated clip can be compared with what was asked for (`ursa_ray.evaluation`). What is
said about a scene is in `captions`.

The object keeps its direction and leaves and returns on the opposite side. Most clips cross the centre of the frame in
their middle: with starts drawn evenly, 9,400 clips taught a model hardly anything of direction; with this bias they
did. Prompts and start positions for evaluation are held out of training. Coordinates are pixels, x to the right and y
down, with the centre of the first pixel at 0.5.
"""

import hashlib
import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

Split = Literal["train", "held-out"]

HEIGHT, WIDTH, NUM_FRAMES, FPS = 48, 64, 17, 12

# Vivid, over pale or dark backgrounds: the least distance of a colour from a background is 97.
COLOURS = {
    "red": (226, 38, 44),
    "green": (16, 146, 64),
    "blue": (34, 58, 222),
    "yellow": (252, 218, 40),
    "purple": (166, 44, 186),
}
INRADIUS_PX = {"circle": 7.5, "square": 7.0, "triangle": 5.0}
SHAPES = tuple(INRADIUS_PX)
DIRECTIONS = {"right": (1, 0), "left": (-1, 0), "up": (0, -1), "down": (0, 1)}
BACKGROUNDS = ("meadow", "sea", "night", "sunset")
MOTIONS = (3.0, 6.0, 9.0)

GRID_PX = 4
REACH_PX = 2 * INRADIUS_PX["triangle"]  # of all shapes the triangle reaches furthest from its centre
RIM = 0.7  # how bright the outermost pixel of an object is, of its colour
MARGIN_PX = 9.0  # on its way around every shape is out of sight for 1 to 5 px


@dataclass(frozen=True)
class Scene:
    colour: str
    shape: str
    direction: str
    background: str
    speed: float
    """Pixels a frame."""
    start: tuple[float, float]
    """x and y of the object's centre in the first frame."""

    @property
    def motion(self) -> float:
        return motion_of(self.speed)


def speed_of(motion: float) -> float:
    """Pixels a frame for a `motion=` value: 1 for 3, 2 for 9, and evenly in between."""
    return (motion + 3) / 6


def motion_of(speed: float) -> float:
    return 6 * speed - 3


def draw(
    scene: Scene, num_frames: int = NUM_FRAMES, height: int = HEIGHT, width: int = WIDTH, first_frame: int = 0
) -> np.ndarray:
    """The clip as uint8 (frames, height, width, 3), from `first_frame` of an endless film."""
    distance = distance_to(scene.shape, positions(scene, num_frames, height, width, first_frame), height, width)
    inside = np.clip(0.5 - distance, 0, 1)[..., None]
    body = np.clip(-0.5 - distance, 0, 1)[..., None]  # a pixel further in
    colour = np.array(COLOURS[scene.colour], np.float32)
    still = background(scene.background, height, width)
    return (still * (1 - inside) + colour * (RIM * inside + (1 - RIM) * body) + 0.5).astype(np.uint8)


def mask(
    scene: Scene, num_frames: int = NUM_FRAMES, height: int = HEIGHT, width: int = WIDTH, first_frame: int = 0
) -> np.ndarray:
    """How much of each pixel the object covers, float32 (frames, height, width) in [0, 1]."""
    centres = positions(scene, num_frames, height, width, first_frame)
    return np.clip(0.5 - distance_to(scene.shape, centres, height, width), 0, 1)


def positions(scene: Scene, num_frames: int, height: int, width: int, first_frame: int = 0) -> np.ndarray:
    """Centres of the object, float32 (frames, 2), on a torus that is MARGIN_PX larger than the frame on every side."""
    frames = np.arange(first_frame, first_frame + num_frames)[:, None]
    moved = np.array(scene.start) + scene.speed * frames * np.array(DIRECTIONS[scene.direction])
    around = np.array([width, height]) + 2 * MARGIN_PX
    return ((moved + MARGIN_PX) % around - MARGIN_PX).astype(np.float32)


def distance_to(shape: str, centres: np.ndarray, height: int, width: int) -> np.ndarray:
    """Signed distance of every pixel from the edge of `shape`, negative inside, float32 (frames, height, width)."""
    x = np.arange(0.5, width, dtype=np.float32) - centres[:, :1]  # (frames, width)
    y = np.arange(0.5, height, dtype=np.float32) - centres[:, 1:]  # (frames, height)
    x, y, inradius = x[:, None, :], y[:, :, None], np.float32(INRADIUS_PX[shape])
    if shape == "circle":
        return np.sqrt(x * x + y * y) - inradius
    if shape == "square":
        return np.maximum(abs(x), abs(y)) - inradius
    # Apex up, centroid in the origin: the slanted sides have their normals 30 degrees above the horizontal.
    slanted = abs(x) * np.float32(np.sqrt(0.75)) - y * np.float32(0.5)
    return np.maximum(slanted, y) - inradius


@lru_cache(maxsize=64)
def background(name: str, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """What stands still, float32 (height, width, 3) in [0, 255], read-only."""
    x = (np.arange(width, dtype=np.float32) + 0.5)[None, :, None] / width
    y = (np.arange(height, dtype=np.float32) + 0.5)[:, None, None] / height
    picture = {"meadow": _meadow, "sea": _sea, "night": _night, "sunset": _sunset}[name](x, y, 1 / height)
    picture = np.ascontiguousarray(np.broadcast_to(picture, (height, width, 3)), dtype=np.float32)
    picture.flags.writeable = False
    return picture


def _meadow(x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    sky = _gradient(y / 0.3, (176, 214, 238), (222, 238, 240))
    far = _gradient((y - 0.2) / 0.4, (172, 206, 140), (158, 196, 122))
    near = _gradient((y - 0.4) / 0.6, (156, 196, 112), (128, 174, 92))
    hills = _below(far, sky, y - 0.24 - 0.05 * np.sin(6.0 * x + 0.6), pixel)
    return _below(near, hills, y - 0.5 + 0.07 * np.sin(4.6 * x), pixel)


def _sea(x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    sky = _gradient(y / 0.36, (214, 232, 240), (240, 236, 224))
    water = _gradient((y - 0.36) / 0.64, (122, 186, 206), (84, 156, 190))
    ripples = 7 * np.sin(2 * np.pi * (3 * x + 0.4 * np.sin(9 * y))) * np.sin(2 * np.pi * 6.5 * y)
    return _below(water + ripples, sky, y - 0.36, pixel)


_STARS = [(4, 4), (20, 4), (36, 4), (12, 12), (28, 12)]
_MOON = (52, 12)


def _night(x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    sky = _gradient(y, (14, 18, 52), (52, 46, 98))
    # Each in the middle of 8 x 8 pixels, which are a code: elsewhere they cost codes that the object needs.
    stars = np.sum([np.exp(-_squared(x, y, place) / 1.2) for place in _STARS], axis=0)
    moon = np.clip(4.5 - np.sqrt(_squared(x, y, _MOON)), 0, 1) + 0.25 * np.exp(-_squared(x, y, _MOON) / 80)
    hills = _gradient(y, (22, 34, 48), (10, 18, 30))
    lit = sky + np.clip(stars + moon, 0, 1) * (np.array((236, 232, 200)) - sky)
    return _below(hills, lit, y - 0.84 + 0.06 * np.sin(7 * x), pixel)


def _squared(x: np.ndarray, y: np.ndarray, place: tuple[int, int]) -> np.ndarray:
    """Squared distance from `place`, in pixels of the smallest frame."""
    return (x * WIDTH - place[0]) ** 2 + (y * HEIGHT - place[1]) ** 2


def _sunset(x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    sky = _gradient(y / 0.7, (176, 158, 212), (255, 200, 158))
    from_sun = np.sqrt(((x - 0.7) * WIDTH / HEIGHT) ** 2 + (y - 0.7) ** 2)
    sky = sky + np.exp(-((from_sun / 0.3) ** 2)) * (np.array((255, 234, 190)) - sky)
    ground = _gradient((y - 0.7) / 0.3, (126, 92, 96), (92, 68, 78))
    return _below(ground, sky, y - 0.72 - 0.02 * np.sin(8 * x), pixel)


def _gradient(share: np.ndarray, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> np.ndarray:
    return np.array(top) + np.clip(share, 0, 1) * (np.array(bottom) - np.array(top))


def _below(lower: np.ndarray, upper: np.ndarray, depth: np.ndarray, pixel: float) -> np.ndarray:
    """`lower` where `depth` is positive, `upper` elsewhere, one pixel of both in between."""
    return upper + np.clip(0.5 + depth / pixel, 0, 1) * (lower - upper)


def sample_scene(rng: np.random.Generator, split: Split, height: int = HEIGHT, width: int = WIDTH) -> Scene:
    """A scene of `split`: its prompt and its start are both held out, or both not.

    In 70 % of the clips the object is within 8 px of the frame's centre in the middle of the clip. In the others it is
    anywhere then; in half of those of training it is, at any moment of the clip, on its way to the other side.
    """
    colour, shape, direction, ground = PROMPTS[split][rng.integers(len(PROMPTS[split]))]
    speed = speed_of(rng.choice(MOTIONS, p=(0.4, 0.2, 0.4)))
    fate = rng.random()
    size, step = np.array((width, height)), np.array(DIRECTIONS[direction])
    reach = np.minimum(REACH_PX, size / 4)  # so that a small frame too has both kinds of starts
    while True:
        moment = NUM_FRAMES // 2
        if fate < 0.7:
            place = size / 2 + rng.integers(-2, 3, size=2) * GRID_PX
        else:
            place = rng.uniform(reach, size - reach)
            if split == "train" and fate > 0.85:
                place, moment = np.where(step != 0, -MARGIN_PX, place), rng.integers(NUM_FRAMES)
        start = np.round((place - step * speed * moment) / GRID_PX).astype(int)
        if _start_held_out(start) == (split == "held-out"):
            x, y = (start * GRID_PX).tolist()
            return Scene(colour, shape, direction, ground, float(speed), (float(x), float(y)))


def _start_held_out(cell: np.ndarray) -> bool:
    """One of five cells of the grid: one in every row and column of any five by five."""
    return bool((cell[0] + 2 * cell[1]) % 5 == 2)


Prompt = tuple[str, str, str, str]


def _held_out_prompts() -> list[Prompt]:
    """A tenth: for every direction and shape, the two of twenty whose hashes are least."""

    def order(prompt: Prompt) -> bytes:
        return hashlib.sha256(" ".join(prompt).encode()).digest()

    groups = (itertools.product(COLOURS, (shape,), (way,), BACKGROUNDS) for shape in SHAPES for way in DIRECTIONS)
    return [prompt for group in groups for prompt in sorted(group, key=order)[:2]]


_HELD_OUT = _held_out_prompts()
PROMPTS: dict[Split, list[Prompt]] = {
    "train": [each for each in itertools.product(COLOURS, SHAPES, DIRECTIONS, BACKGROUNDS) if each not in _HELD_OUT],
    "held-out": _HELD_OUT,
}
"""Colour, shape, direction and background."""
