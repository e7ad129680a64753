"""Jobs to schedule: chains that fork."""

from hypothesis import strategies as st

from ursa_ray.schedule import Job


@st.composite
def forests(draw, max_size=12):
    """The number of the job that each comes after, or None."""
    num = draw(st.integers(1, max_size))
    return [draw(st.sampled_from([None, *range(number)])) for number in range(num)]


def jobs_of(parents, costs=None):
    """With costs in seconds, 1 unless they are given, and the longest chain that begins with each."""
    costs = costs or [1] * len(parents)
    remaining = list(costs)
    for number, parent in reversed(list(enumerate(parents))):
        if parent is not None:
            remaining[parent] = max(remaining[parent], costs[parent] + remaining[number])
    return [
        Job(str(number), None if parent is None else str(parent), remaining[number], costs[number])
        for number, parent in enumerate(parents)
    ]
