"""Flipped bits, and what reading them may do: nothing, or raise a LedgerError."""

from collections.abc import Callable, Iterable

from ursa_ray.errors import LedgerError


def flip(content: bytes, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def count_found(content: bytes, bits: Iterable[int], read: Callable[[bytes, str], object]) -> int:
    """How many of the flips are reported; all others must change nothing."""
    expected, found = read(content, "here"), []
    for bit in bits:
        try:
            assert read(flip(content, bit), "here") == expected, bit
        except LedgerError as error:
            found.append(str(error))
    assert all(message.startswith("here: is damaged (") for message in found), found
    return len(found)


def around(content: bytes, word: bytes, num_bytes: int) -> list[int]:
    """The bits of every place where `word` is, and of the bytes before and after it."""
    places = [offset for offset in range(len(content)) if content.startswith(word, offset)]
    return [
        bit
        for place in places
        for bit in range(8 * max(0, place - num_bytes), 8 * min(len(content), place + len(word) + num_bytes))
    ]
