"""How far things move from one frame to the next: blocks of the picture are looked for in the frame before.

A block counts as moving if it differs from the same place of the frame before, and some displacement explains at
least half of that. So a change of light and a cut are hardly motion, and what is flat moves only at its edges.

All displacements are tried with a small picture, and from one size to the next, twice as large, the best of each block
is made finer by a pixel, up to the picture's own size: half a pixel of a small picture would explain next to nothing.
"""

from itertools import product
from math import hypot

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

BLOCK_PX = 8  # of the smallest picture; the same blocks are looked at in all
REACH_PX = 8  # of the smallest picture; with the blocks around it, a block sees all of what comes into it
MAX_SIDE_PX = 256  # of the smallest picture: 289 displacements of 256x160 take 15 to 35 ms on one core
MAX_ROWS = 16  # of a block that are compared where it has more: all 64 of 1920x1080 tell no more and take 30 ms longer
CHANGED = 2.0  # grey levels; H.264 at crf 18 changes a still block by less than 1
EXPLAINED = 0.5
BETTER = 0.9  # of what staying leaves unexplained: for less, a straight edge slides along itself


def nearest_first(reach: int) -> list[tuple[int, int]]:
    steps = range(-reach, reach + 1)
    return sorted(product(steps, steps), key=lambda offset: (hypot(*offset), offset))


OFFSETS, STEPS = nearest_first(REACH_PX), nearest_first(1)
PREFERENCES = np.array([BETTER, *[1.0] * 8])[:, None, None]


def measure_motion(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Median displacement in pixels of the blocks that move, and their share of the picture; float32 (h, w) each.

    Displacements of 1 to 8 pixels are found; of a picture with a side over 256 pixels 2, 4 or 8 times as long ones.
    """
    assert before.shape == after.shape, (before.shape, after.shape)
    pairs = list(zip(sizes(before), sizes(after), strict=True))
    offsets, is_moving = searched(*pairs[0])
    for pair in pairs[1:]:
        offsets, is_explained = refined(*pair, 2 * offsets)
        is_moving |= is_explained  # in the small picture slow motion hides, in the large one grain is in the way
    lengths = np.hypot(*offsets)
    is_moving &= lengths > 0
    return (float(np.median(lengths[is_moving])) if is_moving.any() else 0.0), float(is_moving.mean())


def sizes(luma: np.ndarray) -> list[np.ndarray]:
    """A picture cut to whole blocks, halved until it is small, the smallest first; less than a block is repeated."""
    num_halvings = ((max(luma.shape) - 1) // MAX_SIDE_PX).bit_length()
    side = BLOCK_PX << num_halvings
    luma = np.pad(luma, [(0, max(0, side - length)) for length in luma.shape], mode="edge")
    height, width = (length // side * side for length in luma.shape)
    pictures = [luma[:height, :width]]
    for _ in range(num_halvings):
        large = pictures[0]
        rows = large[::2] + large[1::2]
        pictures.insert(0, (rows[:, ::2] + rows[:, 1::2]) / 4)
    return pictures


def searched(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which displacement of all, (2, rows, columns) down and right, explains each block best, and whether enough."""
    height, width = after.shape
    padded = np.pad(before, REACH_PX, mode="edge")
    change = block_means(np.abs(after - before))
    least, offsets = neighbourhoods(change) * BETTER, np.zeros((2, *change.shape), int)
    for down, right in OFFSETS[1:]:
        top, left = REACH_PX - down, REACH_PX - right
        error = neighbourhoods(block_means(np.abs(after - padded[top : top + height, left : left + width])))
        is_better = error < least
        least[is_better], offsets[:, is_better] = error[is_better], [[down], [right]]
    return offsets, explains(least, change)


def refined(before: np.ndarray, after: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of the displacements that are at most a pixel from `offsets`."""
    _, rows, columns = offsets.shape
    side = after.shape[0] // rows
    every, reach = max(1, side // MAX_ROWS), (REACH_PX + 1) * side // BLOCK_PX
    blocks = after.reshape(rows, side, columns, side).swapaxes(1, 2)[:, :, ::every]
    windows = sliding_window_view(np.pad(before, reach, mode="edge"), (side + 2, side + 2))
    corners = np.indices((rows, columns)) * side + reach - 1

    def differences(seen: np.ndarray, down: int, right: int) -> np.ndarray:
        shifted = seen[:, :, 1 - down : 1 - down + side : every, 1 - right : 1 - right + side]
        return np.abs(blocks - shifted).mean(axis=(2, 3))

    seen = windows[tuple(corners - offsets)]
    errors = np.stack([neighbourhoods(differences(seen, *step)) for step in STEPS])
    best = (errors * PREFERENCES).argmin(axis=0)
    is_explained = explains(np.choose(best, errors), differences(windows[tuple(corners)], 0, 0))
    return offsets + np.moveaxis(np.array(STEPS)[best], -1, 0), is_explained


def explains(error: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Whether so much is left of the change around each block that changes."""
    return (change > CHANGED) & (error < EXPLAINED * neighbourhoods(change))


def block_means(picture: np.ndarray) -> np.ndarray:
    rows, columns = picture.shape[0] // BLOCK_PX, picture.shape[1] // BLOCK_PX
    # One axis after the other takes a third of the time of both at once.
    sums = picture.reshape(rows, BLOCK_PX, columns * BLOCK_PX).sum(axis=1)
    return sums.reshape(rows, columns, BLOCK_PX).sum(axis=2) / BLOCK_PX**2


def neighbourhoods(blocks: np.ndarray) -> np.ndarray:
    """Sums over each block and the eight around it."""
    padded = np.pad(blocks, 1)
    down = padded[:-2] + padded[1:-1] + padded[2:]
    return down[:, :-2] + down[:, 1:-1] + down[:, 2:]
