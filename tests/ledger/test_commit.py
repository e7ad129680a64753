"""A commit comes back as it was, or not at all."""

import hashlib
import io
import random

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.ledger.damage import around, count_found
from ursa_ray.errors import LedgerError
from ursa_ray.ledger import Commit, sealed
from ursa_ray.ledger.commit import Link
from ursa_ray.ledger.plans import plan_to_parquet

LINK = Link(7, "ab" * 32, 2, "cd" * 16)


@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.uint16, 65_535), (np.uint16, 63_999), (np.uint32, 131_071), (np.uint32, 2**32 - 1)]
)
def test_codes_come_back_as_they_were(dtype, largest):
    codes = np.random.default_rng(1).integers(0, largest, (13, 4, 6), endpoint=True).astype(dtype)
    codes[0, 0, :2] = 0, largest
    commit, _ = Commit.from_parquet(Commit.of_codes("key", codes).to_parquet(LINK), "here")
    assert commit.array().dtype == dtype
    np.testing.assert_array_equal(commit.array(), codes)


def test_codes_that_are_not_contiguous_come_back_as_they_were():
    codes = np.arange(120, dtype=np.uint16).reshape(5, 4, 6).transpose(2, 0, 1)[:, ::2]
    np.testing.assert_array_equal(Commit.of_codes("key", codes).array(), codes)


def test_all_that_is_said_of_a_segment_comes_back(commit):
    assert Commit.from_parquet(commit().to_parquet(LINK), "here") == (commit(), LINK)


@pytest.mark.parametrize("kind", ["plan", "film"])
def test_events_have_no_codes(kind):
    event = Commit(kind, "ab" * 32)
    assert Commit.from_parquet(event.to_parquet(LINK), "here") == (event, LINK)
    assert event.codes is None


def test_other_readers_of_parquet_find_the_codes_and_their_hash(commit):
    (row,) = pq.read_table(io.BytesIO(commit().to_parquet(LINK))).to_pylist()
    assert row["codes_sha256"] == hashlib.sha256(row["codes"]).hexdigest()
    assert (row["codes_dtype"], row["codes_shape"], len(row["codes"])) == ("uint16", [3, 4, 5], 120)


def test_49_frames_of_512x320_take_little_more_than_their_codes():
    codes = np.random.default_rng(1).integers(0, 64_000, (13, 40, 64)).astype(np.uint16)
    assert len(Commit.of_codes("ab" * 32, codes).to_parquet(LINK)) < 1.1 * 66_560


def test_a_flipped_bit_is_found_or_changes_nothing(commit):
    content = commit().to_parquet(LINK)
    bits = random.Random(7).sample(range(8 * len(content)), 400)
    assert count_found(content, bits, Commit.from_parquet) > 100


def test_a_flipped_bit_in_the_type_of_a_column_is_found_or_changes_nothing(commit):
    content = commit().to_parquet(LINK)
    assert count_found(content, around(content, b"kind", 8), Commit.from_parquet) > 10


def bits_of_the_schema(content):
    """Where Arrow keeps the types of the columns and what is said about the rows, as base64."""
    start = content.index(b"ARROW:schema")
    return random.Random(7).sample(range(8 * start, 8 * len(content)), 400)


def test_without_the_seal_flipped_bits_would_give_other_commits(commit, monkeypatch):
    """Page checksums are on all the same: they do not cover what is said about the rows."""
    monkeypatch.setattr(sealed, "_digest", lambda rows, about: b"always the same")
    content = commit().to_parquet(LINK)
    with pytest.raises(AssertionError):
        count_found(content, bits_of_the_schema(content), Commit.from_parquet)


def test_with_the_seal_those_bits_are_found(commit):
    content = commit().to_parquet(LINK)
    assert count_found(content, bits_of_the_schema(content), Commit.from_parquet) > 10


def test_every_truncation_is_found(commit):
    content = commit().to_parquet(LINK)
    for length in range(0, len(content), 7):
        with pytest.raises(LedgerError, match=r"^here: is damaged .*\. Restore it, or run `ursa-ray fsck` on this run"):
            Commit.from_parquet(content[:length], "here")


def test_a_file_of_something_else_is_not_a_commit(plan):
    with pytest.raises(LedgerError, match=r"^here: is not a commit of this version"):
        Commit.from_parquet(plan_to_parquet(plan), "here")
