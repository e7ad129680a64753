import pytest
import torch

from ursa_ray.model.fsq import FiniteScalarQuantizer

LEVELS = (8, 8, 8, 5, 5, 5)
HALF_WIDTHS = torch.tensor([4, 4, 4, 2, 2, 2])
EVEN, ODD = [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75], [-1, -0.5, 0, 0.5, 1]


@pytest.fixture
def quantizer():
    return FiniteScalarQuantizer(LEVELS)


def before_the_bound(codebook):
    """Undo tanh(v + atanh(o / r)) r - o, where r = (L - 1) 1.001 / 2 and o is 0.5 for even L."""
    radius = (torch.tensor(LEVELS).double() - 1) * 1.001 / 2
    offset = torch.tensor([0.5, 0.5, 0.5, 0, 0, 0]).double()
    return torch.atanh((codebook * HALF_WIDTHS + offset) / radius) - torch.atanh(offset / radius)


def test_every_code_comes_back_from_its_vector(quantizer):
    vectors = before_the_bound(quantizer.codebook()).float()
    assert torch.equal(quantizer.quantize(vectors), torch.arange(64_000))


def test_the_codebook_is_the_grid_of_all_levels_first_number_fastest(quantizer):
    axes = [torch.tensor(values, dtype=torch.float32) for values in (ODD, ODD, ODD, EVEN, EVEN, EVEN)]
    assert torch.equal(quantizer.codebook(), torch.cartesian_prod(*axes).flip(-1))


@pytest.mark.parametrize(
    ("component", "code"),
    [
        (0.0, 4 + 4 * 8 + 4 * 64 + 2 * 512 + 2 * 2560 + 2 * 12_800),
        (-1000.0, 0),
        (1000.0, 63_999),
    ],
)
def test_vectors_in_the_middle_and_far_out_have_known_codes(quantizer, component, code):
    assert quantizer.quantize(torch.full((1, 6), component)).tolist() == [code]


def test_half_precision_vectors_are_bounded_in_single_precision(quantizer):
    vectors = torch.randn(10_000, 6, generator=torch.Generator().manual_seed(0)).half()
    assert torch.equal(quantizer.quantize(vectors), quantizer.quantize(vectors.float()))


def test_other_levels_make_another_codebook():
    quantizer = FiniteScalarQuantizer((4, 3))
    assert (quantizer.num_codes, quantizer.dim) == (12, 2)
    assert quantizer.dequantize(torch.tensor([0, 11])).tolist() == [[-1, -1], [0.5, 1]]
