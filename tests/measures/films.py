"""Frames whose measures are known by how they are drawn; 64x48 unless told."""

import numpy as np


def grey(*levels):
    for level in levels:
        yield np.full((48, 64, 3), level, np.uint8)


def moving_square(num_frames, step_px, height=96, width=128, step_down_px=0):
    """A bright square of 32 px over a dark ground, `step_px` further to the right in every frame."""
    for index in range(num_frames):
        frame = np.full((height, width, 3), 20, np.uint8)
        top, left = 8 + step_down_px * index, 5 + step_px * index
        frame[top : top + 32, left : left + 32] = 200
        yield frame


def checkered(contrast):
    """Half of the pixels at 128 + contrast, half at 128 - contrast: their standard deviation is that."""
    light = np.indices((48, 64)).sum(axis=0) % 2 == 0
    return np.repeat(np.where(light, 128 + contrast, 128 - contrast).astype(np.uint8)[:, :, None], 3, axis=2)


def textured(height, width, seed=5):
    """A grey picture of grains that are some 3 px large, so that a pan of a pixel changes it by several levels."""
    grains = np.random.default_rng(seed).integers(0, 256, (height + 2, width + 2))
    sums = sum(grains[down : down + height, right : right + width] for down in range(3) for right in range(3))
    return np.repeat((sums / 9).astype(np.uint8)[:, :, None], 3, axis=2)
