"""Exact times: durations as fractions of a second, frame rates as fractions of a hertz.

Floats are read by their shortest decimal: `fps: 23.976` is 2997/125, not the nearest binary fraction.
"""

import math
import re
from decimal import Decimal
from fractions import Fraction

UNITS = {"h": Fraction(3600), "min": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
MAX_DURATION_S = 24 * 3600
MIN_FPS, MAX_FPS = 1, 240

_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
_DURATION = re.compile(" *".join(f"(?:{_NUMBER} *{unit})?" for unit in UNITS))  # each unit once, largest first
_RATIO = re.compile(r"[0-9]{1,9}/0*[1-9][0-9]{0,8}")


def parse_duration(value: object) -> Fraction:
    """Seconds of "20s", "1.5min" or "1min 30s". ValueError says what was expected."""
    seconds = value if isinstance(value, Fraction) else _seconds(value)
    if seconds is None or seconds <= 0:
        raise ValueError(f"expected a positive duration such as 4s or 1.5min{_with_unit(value)}")
    if seconds > MAX_DURATION_S:
        raise ValueError("expected at most 24h")
    return seconds


def parse_time_limit(text: str) -> Fraction:
    """Seconds of what a person gives a render: a duration of any length, with "30m" for "30min" too."""
    seconds = _seconds(_with_minutes(text))
    if not seconds:
        raise ValueError("expected a time such as 45min, 30m or 2h 30min")
    return seconds


def parse_instant(text: str) -> Fraction:
    """Seconds after the beginning of a film, such as "0s", "750ms" or "1m5s". ValueError says what was expected."""
    seconds = _seconds(_with_minutes(text))
    if seconds is None or not text.strip():
        raise ValueError("expected a time such as 12.5s, 750ms or 1m5s, or a frame such as #150")
    return seconds


def _with_minutes(text: str) -> str:
    return re.sub(r"(?<=[0-9]) *m(?![a-z])", "min", text)


def _seconds(value: object) -> Fraction | None:
    match = _DURATION.fullmatch(value.strip(" ")) if isinstance(value, str) else None
    if match is None:
        return None
    amounts = zip(match.groups(), UNITS.values(), strict=True)
    return sum((Fraction(amount) * unit for amount, unit in amounts if amount), Fraction(0))


def _with_unit(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_DURATION_S:
        return f"; write {value}s"
    return ""


def format_duration(seconds: Fraction) -> str:
    return f"{Decimal(seconds.numerator) / seconds.denominator:f}s"


def parse_frame_rate(value: object) -> Fraction:
    """Frames per second of 24, 23.976 or "24000/1001". ValueError says what was expected."""
    fps = _frame_rate(value)
    if fps is None or not MIN_FPS <= fps <= MAX_FPS:
        raise ValueError(f'expected a number from {MIN_FPS} to {MAX_FPS}, such as 24, 23.976 or "24000/1001"')
    return fps


def _frame_rate(value: object) -> Fraction | None:
    match value:
        case bool():
            return None
        case int() | Fraction():
            return Fraction(value)
        case float() if math.isfinite(value):
            return Fraction(str(value))
        case str() if _RATIO.fullmatch(value):
            return Fraction(value)
        case _:
            return None
