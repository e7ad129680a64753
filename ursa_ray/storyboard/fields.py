"""What single values of a storyboard may be, each with the words that say so.

A description completes the sentence "expected ..."; a check that needs other words raises ValueError with
the whole sentence.
"""

import unicodedata
from fractions import Fraction
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator

from ursa_ray.storyboard.durations import parse_duration, parse_frame_rate

MAX_FRAMES = 10_000_000
MAX_PROMPT_CHARS = 10_000


def _without_controls(text: str, allowed: str = "") -> str:
    # Cs: half a character, which a command line makes of bytes that are no UTF-8, and which no tokenizer takes.
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in allowed for char in text):
        raise ValueError("expected text without control characters")
    return text


def _with_line_breaks(text: str) -> str:
    return _without_controls(text, allowed="\n\t")


def _inside(text: str) -> str:
    if "://" in text:
        raise ValueError("expected a file in the storyboard's folder, not a URL; download it first")
    if PurePath(text).is_absolute():
        raise ValueError("expected a path relative to the storyboard, such as stills/title.png")
    return _without_controls(text)


Line = Annotated[str, AfterValidator(_without_controls)]
Text = Annotated[str, AfterValidator(_with_line_breaks)]
AssetPath = Annotated[str, AfterValidator(_inside)]
Seconds = Annotated[Fraction, PlainValidator(parse_duration)]
FrameRate = Annotated[Fraction, PlainValidator(parse_frame_rate)]


def whole(low: int, high: int, default: int | None = None) -> Any:
    return Field(default, ge=low, le=high, description=f"a whole number from {low:,} to {high:,}")


def number(low: float, high: float) -> Any:
    return Field(None, ge=low, le=high, allow_inf_nan=False, description=f"a number from {low} to {high}")


def prompt() -> Any:
    words = f"a text that is not blank, at most {MAX_PROMPT_CHARS:,} characters"
    return Field(pattern=r"\S", max_length=MAX_PROMPT_CHARS, description=words)


def asset(example: str) -> Any:
    return Field(None, min_length=1, max_length=1000, description=f"a path such as {example}")
