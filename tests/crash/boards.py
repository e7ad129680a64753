"""A small film: three segments in two shots, one continuing the other, 12 denoising steps in all."""

SMALL = """\
version: 1
model: tiny
video: {width: 32, height: 32}
segment: {frames: 9, overlap: 5}
defaults: {steps: 4, seed: 5}
shots:
  - {id: one, prompt: a red square moves to the right, frames: 13}
  - {id: two, continue: one, prompt: the red square falls, frames: 4}
"""
