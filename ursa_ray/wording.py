"""Counts, times in a film and texts of others as people read them."""

from collections.abc import Iterable
from fractions import Fraction


def count_of(number: int | Fraction, name: str) -> str:
    """`1 segment`, `12 segments`"""
    return f"{number} {name}{'' if number == 1 else 's'}"


def seconds_text(seconds: Fraction) -> str:
    """`12.5 s`, to the millisecond."""
    return f"{float(seconds):.3f}".rstrip("0").rstrip(".") + " s"


def printable(lines: Iterable[str]) -> str:
    """One text of lines, with escapes for all that a terminal could take for an order: films come from strangers."""
    return "\n".join("".join(char if char.isprintable() else _escaped(char) for char in line) for line in lines)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
