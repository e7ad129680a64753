import torch
from hypothesis import given
from hypothesis import strategies as st

from ursa_ray.model.shards import Shards


@given(st.integers(1, 200), st.integers(1, 8))
def test_all_shards_have_as_many_positions_and_joined_they_are_the_sequence(num_positions, size):
    sequence = torch.arange(num_positions)
    shards = Shards(num_positions, size)
    parts = [sequence[shards.of(rank)] for rank in range(size)]
    assert {len(part) for part in parts} == {-(-num_positions // size)}
    assert torch.equal(shards.join(parts, dim=0), sequence)


@given(st.data(), st.integers(1, 200), st.integers(1, 8))
def test_every_position_is_owned_by_one_member_that_has_it(data, num_positions, size):
    positions = torch.tensor(data.draw(st.permutations(range(num_positions))))
    shards = Shards(num_positions, size)
    owned = [shards.owned(rank, positions) for rank in range(size)]
    assert sorted(torch.cat(owned).tolist()) == list(range(num_positions))
    for rank, indices in enumerate(owned):
        assert set(positions[indices].tolist()) <= set(range(num_positions)[shards.of(rank)])


def test_the_odd_sequence_of_a_released_clip_is_one_position_more_than_twice_half():
    assert [Shards(33_601, 2).of(rank) for rank in (0, 1)] == [slice(0, 16_801), slice(16_800, 33_601)]
