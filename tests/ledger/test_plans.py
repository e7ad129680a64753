"""A plan comes back from its file as it was, or not at all."""

import random

import pytest

from tests.ledger.damage import around, count_found
from tests.plan.boards import plan_of
from ursa_ray.errors import LedgerError
from ursa_ray.ledger.plans import plan_from_parquet, plan_to_parquet
from ursa_ray.plan import ClipCondition, ImageCondition, ParentCondition


def test_a_plan_of_every_kind_of_condition_comes_back_equal(plan):
    kinds = {type(segment.condition) for segment in plan.segments}
    assert kinds == {type(None), ParentCondition, ImageCondition, ClipCondition}
    again = plan_from_parquet(plan_to_parquet(plan), "here")
    assert again == plan
    assert again.sha256 == plan.sha256
    assert [type(segment.shown) for segment in again.segments] == [tuple] * plan.num_segments


def test_a_plan_without_any_condition_comes_back_equal():
    plan = plan_of({"frames": 1})
    assert plan_from_parquet(plan_to_parquet(plan), "here") == plan


def test_a_flipped_bit_is_found_or_changes_nothing(plan):
    content = plan_to_parquet(plan)
    bits = random.Random(7).sample(range(8 * len(content)), 500)
    assert count_found(content, bits, plan_from_parquet) > 100


def test_a_flipped_bit_in_the_title_is_found_or_is_in_a_copy_that_nobody_reads(plan):
    content = plan_to_parquet(plan)
    assert count_found(content, around(content, b'"title"', 10), plan_from_parquet) > 10


def test_every_truncation_is_found(plan):
    content = plan_to_parquet(plan)
    for length in range(0, len(content), 41):
        with pytest.raises(LedgerError, match=r"^here: is damaged"):
            plan_from_parquet(content[:length], "here")
