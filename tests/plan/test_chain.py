"""The longest chains of a plan against brute force over random forests."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.boards import plan_of
from ursa_ray.plan import ParentCondition, Plan, PlannedShot, Segment


def segment(number, parent, flops):
    return Segment(
        shot=f"s{number}",
        index=0,
        prompt="fog",
        negative_prompt="",
        width=96,
        height=64,
        num_frames=17,
        steps=4,
        guidance=1.0,
        guidance_trunc=0.9,
        flow_shift=None,
        cond_noise=0.1,
        restore_condition=True,
        max_prompt_length=64,
        seed=1,
        condition=None if parent is None else ParentCondition(f"k{parent}", 12, 17),
        shown=(0, 17),
        film=(17 * number, 17 * number + 17),
        flops=flops,
        key=f"k{number}",
    )


@st.composite
def forests(draw):
    """(parent, flops) of each segment; a parent comes earlier."""
    num = draw(st.integers(1, 12))
    parents = [draw(st.sampled_from([None, *range(number)])) for number in range(num)]
    return [(parent, draw(st.integers(1, 9))) for parent in parents]


def forest_plan(forest):
    shots = tuple(
        PlannedShot(f"s{number}", 17, (segment(number, parent, float(flops)),))
        for number, (parent, flops) in enumerate(forest)
    )
    return Plan("", "tiny", "w", 96, 64, Fraction(12), 18, shots)


def chains_from(forest, number):
    """All chains that start with a segment, as lists of FLOPs."""
    own = forest[number][1]
    yield [own]
    for child, (parent, _) in enumerate(forest):
        if parent == number:
            yield from ([own, *rest] for rest in chains_from(forest, child))


@settings(deadline=None, max_examples=100)
@given(forests())
def test_the_longest_chain_from_every_segment_is_that_of_brute_force(forest):
    expected = {}
    for number in range(len(forest)):
        chains = list(chains_from(forest, number))
        expected[f"k{number}"] = (max(map(len, chains)), max(map(sum, chains)))
    plan = forest_plan(forest)
    assert plan.chain == expected
    assert plan.critical_path == (max(num for num, _ in expected.values()), max(work for _, work in expected.values()))


def test_a_long_cheap_chain_and_a_short_dear_one_both_bound_the_render():
    forest = [(None, 1), (0, 1), (1, 1), (None, 9), (3, 9)]
    assert forest_plan(forest).critical_path == (3, 18.0)


def test_shots_side_by_side_do_not_lengthen_the_critical_path():
    plan = plan_of({"frames": 85}, {"frames": 49}, {"frames": 36, "continue": "s1"})
    assert plan.critical_path == (2, 2 * plan.segments[0].flops)
    assert plan.num_segments == 4
