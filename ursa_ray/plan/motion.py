"""How a prompt says how much moves: before its words, as the model was trained to read it."""

import re

MOTION = re.compile(r"motion=(\d+\.\d), ")


def with_motion(prompt: str, motion: float) -> str:
    """`motion=9.0, a bear walks`"""
    return f"motion={motion:.1f}, {prompt}"


def split_motion(prompt: str) -> tuple[str | None, str]:
    """The motion of a prompt, None for that of an image, and its words."""
    said = MOTION.match(prompt)
    return (None, prompt) if said is None else (said[1], prompt[said.end() :])
