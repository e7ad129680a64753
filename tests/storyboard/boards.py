"""Storyboards to test with. In a bad one, the comment `# <-` marks the line that the error must name."""

from pathlib import Path
from textwrap import dedent, indent

from ursa_ray.storyboard import Storyboard, load_storyboard

MARK = "# <-"

# The example of the design, its dots filled in.
GRIZZLY = """\
version: 1
title: Grizzly at dawn
model: BAAI/URSA-1.7B-FSQ320
video: {width: 512, height: 320, fps: 12}
defaults: {negative_prompt: "worst quality, low quality", motion: 9.0, steps: 50, guidance: 7.0, seed: 1234}
segment: {frames: 49, overlap: 13, cond_noise: 0.1}
shots:
  - id: forest
    prompt: a lone grizzly bear walks through a misty forest at dawn, sunlight catching its fur.
    duration: 20s                 # or frames: 240
    beats: [{at: 8s, prompt: the bear stops and lifts its head}]
  - id: river
    continue: forest              # conditioned on the last frames of forest
    prompt: the bear wades into a shallow river
    motion: 5.0
    duration: 12s
  - id: title
    image: stills/title.png       # image to video
    prompt: the title over a still lake
    duration: 4s
output: {codec: h264, crf: 18}
"""

# Much the same, and small enough for the built-in model to plan it.
SMALL = """\
version: 1
title: Small
model: tiny
video: {width: 64, height: 48, fps: 12}
defaults: {negative_prompt: "a red square", motion: 9.0, steps: 50, guidance: 7.0, seed: 1234}
segment: {frames: 17, overlap: 5, cond_noise: 0.1}
shots:
  - id: meadow
    prompt: a red circle moves to the right
    duration: 20s
    beats: [{at: 8s, prompt: the red circle stops}]
  - id: sea
    continue: meadow
    prompt: a blue square falls
    frames: 24
  - id: title
    image: stills/title.png
    prompt: a green circle rises
    duration: 4s
output: {codec: h264, crf: 18}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "film.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str) -> Storyboard:
    return load_storyboard(write(folder, text))


def with_title(folder: Path) -> Path:
    (folder / "stills").mkdir()
    (folder / "stills" / "title.png").write_bytes(b"PNG")
    return folder


def film(settings: str = "") -> str:
    """A whole storyboard of one shot, with more settings."""
    return f"version: 1\nmodel: tiny\n{dedent(settings)}\nshots: [{{id: dawn, prompt: fog, frames: 24}}]\n"


def shot(settings: str) -> str:
    """A whole storyboard whose second shot has the id dusk and these settings."""
    head = "version: 1\nmodel: tiny\nshots:\n  - {id: dawn, prompt: fog, frames: 24}\n  - id: dusk\n"
    return head + indent(dedent(settings), "    ") + "\n"


def timed(settings: str) -> str:
    """Likewise, with a prompt and four seconds."""
    return shot("prompt: fog\nduration: 4s\n" + dedent(settings))


def marked_line(text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if MARK in line)
