"""Measures films of the drawn world: are prompts followed, does a join show, does a minute drift.

What a clip shows is found by classical vision (`detector`), which is itself tested on drawn clips.
"""
