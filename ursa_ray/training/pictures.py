"""Contact sheets: a look at clips without playing them."""

from pathlib import Path

import numpy as np
from einops import rearrange
from PIL import Image


def write_sheet(clips: np.ndarray, file: Path, num_shown: int = 6, zoom: int = 2) -> None:
    """One row for each clip, uint8 (clips, frames, height, width, 3), with `num_shown` frames from its whole length."""
    shown = np.linspace(0, clips.shape[1] - 1, num_shown).round().astype(int)
    sheet = rearrange(clips[:, shown], "n f h w c -> (n h) (f w) c")
    Image.fromarray(sheet.repeat(zoom, 0).repeat(zoom, 1)).save(file)
