import numpy as np
import pytest
import torch

from ursa_ray.model.rotary import rotary_table, rotate, sequence_positions

THETA = 1e6


def axes_of_128():
    """Axis of each of the 64 frequencies: 48 that take turns t, y, x, then 16 that take turns y, x."""
    return [j % 3 for j in range(48)] + [1 + (j - 48) % 2 for j in range(48, 64)]


def test_positions_are_the_published_ones(golden, cases, kind):
    positions = sequence_positions(cases[kind]["text_length"], tuple(cases[kind]["latents_shape"]))
    assert torch.equal(positions, golden["transformer.rope_pos"].long())


def test_time_goes_on_after_the_text_while_rows_and_columns_start_at_zero():
    positions = sequence_positions(320, (13, 40, 64)).tolist()
    assert positions[319:322] == [[319, 319, 319], [320, 320, 320], [321, 0, 0]]
    assert positions[321 + 64] == [321, 1, 0]
    assert positions[-1] == [333, 39, 63]


def test_of_64_frequencies_time_has_16_and_rows_and_columns_have_24_each():
    axes = axes_of_128()
    assert [axes.count(axis) for axis in range(3)] == [16, 24, 24]
    for axis in range(3):
        position = torch.zeros(1, 3, dtype=torch.int64)
        position[0, axis] = 1
        _, sin = rotary_table(position, 128, THETA)
        assert (sin[0] != 0).tolist() == [owner == axis for owner in axes]


def test_visual_angles_are_position_times_frequency():
    positions = torch.tensor([[333, 39, 63], [321, 0, 5]])
    frequency = THETA ** (-2 * np.arange(64) / 128)
    angle = positions.numpy()[:, axes_of_128()] * frequency
    expected = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)])).float()
    torch.testing.assert_close(rotary_table(positions, 128, THETA), expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("head_dim", [32, 128])
def test_text_has_plain_one_dimensional_rotary_positions(head_dim):
    angle = np.arange(41)[:, None] * THETA ** (-np.arange(0, head_dim, 2) / head_dim)
    expected = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)])).float()
    table = rotary_table(sequence_positions(40, (1, 1, 1)), head_dim, THETA)
    torch.testing.assert_close(table[:, :41], expected, atol=1e-5, rtol=0)


def test_a_pair_is_rotated_as_a_complex_number():
    table = rotary_table(torch.tensor([[3, 1, 2]]), 16, THETA)
    x = torch.randn(1, 1, 1, 16, generator=torch.Generator().manual_seed(0))
    turned = torch.complex(x[..., :8], x[..., 8:]) * torch.complex(table[0], table[1])
    torch.testing.assert_close(rotate(x, table), torch.cat([turned.real, turned.imag], dim=-1))


def test_scores_depend_on_the_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 128, generator=torch.Generator().manual_seed(0))

    def score(offset):
        tables = [rotary_table(torch.tensor([place]) + offset, 128, THETA) for place in ([5, 2, 7], [1, 4, 0])]
        return (rotate(q, tables[0]) * rotate(k, tables[1])).sum()

    torch.testing.assert_close(score(0), score(11), atol=1e-4, rtol=1e-5)
