"""The bench of savings replaces what the code uses now, without another result."""

from pathlib import Path
from unittest.mock import Mock, patch

import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
STEPS = (0, 25, 48)


@pytest.fixture
def side(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from our_side import OurSide
    from published_cases import Case, write_case

    threads = torch.get_num_threads()
    write_case(Case("least", 256, 2, (4, 4, 4), (2, 4, 4), 3, STEPS), tmp_path)
    yield OurSide(str(tmp_path))
    torch.set_num_threads(threads)


def test_without_each_saving_the_codes_are_the_same(side):
    import bench_savings

    for seed in range(3):
        expected = side.codes_after(list(STEPS), seed)
        assert not torch.equal(expected, side.codes)
        for name in bench_savings.WITHOUT:
            with bench_savings.without(name):
                assert torch.equal(side.codes_after(list(STEPS), seed), expected), name


def test_a_step_uses_what_is_replaced_to_take_a_saving_away(side):
    import bench_savings

    for owner, attribute, _ in bench_savings.WITHOUT.values():
        # No number, and no function that can be called: using it is an error either way.
        unusable = Mock(side_effect=TypeError("a Mock was called"))
        with patch.object(owner, attribute, unusable), pytest.raises(TypeError, match="Mock"):
            side.codes_after(list(STEPS), 0)


def test_every_saving_is_timed(side):
    import bench_savings
    from published_cases import Case

    case = Case("least", 256, 1, (4, 4, 4), (2, 4, 4), 3, STEPS)
    runs = bench_savings.measure(case, 2, [bench_savings.NOTHING, *bench_savings.WITHOUT])
    assert all(len(times) == 2 and min(times) > 0 for times in runs.values())
