"""Storyboards for tests that render: the model is `tiny`, so a segment takes a third of a second."""

from pathlib import Path

TWO_SHOTS = """\
version: 1
title: Two shots
model: tiny
defaults: {motion: 5.0, steps: 4, seed: 11}
shots:
  - id: dawn
    prompt: a red square moves to the right
    frames: 24
  - id: dusk
    continue: dawn
    prompt: the red square falls
    frames: 14
"""

# Two chains side by side, so that two replicas have work.
TWO_CHAINS = """\
version: 1
model: tiny
defaults: {steps: 4}
shots:
  - {id: left, prompt: a green circle rises, frames: 24}
  - {id: right, prompt: a blue triangle falls, frames: 30}
  - {id: after, continue: left, prompt: the green circle rests, frames: 9}
"""

# Two short shots and one of four segments, for three replicas; a step takes 0.06 s.
TWO_SHORT_ONE_LONG = """\
version: 1
model: tiny
defaults: {steps: STEPS}
shots:
  - {id: left, prompt: a green circle rises, frames: 9}
  - {id: right, prompt: a blue triangle falls, frames: 9}
  - {id: long, prompt: a red square moves to the right, frames: 48}
"""

FROM_IMAGE = """\
version: 1
model: tiny
defaults: {steps: 3}
shots:
  - {id: title, image: title.png, prompt: the picture comes alive, frames: 5}
"""


def write(folder: Path, text: str, name: str = "film.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path
