from itertools import product

import numpy as np
import pytest
import torch

from ursa_ray.model.wavelet import patch, unpatch

# Published: the filters' coefficient is rounded to float16; it acts once along each of three axes.
GAIN = (float(np.float16(2**-0.5)) * 2**0.5) ** 3


def split_by_definition(video):
    """Eight bands in the order (time, height, width), each a signed mean of the pixels of a cell."""
    bits = list(product((0, 1), repeat=3))
    bands = []
    for band in bits:
        terms = [
            (-1) ** sum(b * i for b, i in zip(band, cell, strict=True))
            * video[:, :, cell[0] :: 2, cell[1] :: 2, cell[2] :: 2]
            for cell in bits
        ]
        bands.append(GAIN * sum(terms) / 8)
    return torch.cat(bands, dim=1)


@pytest.fixture
def video():
    return torch.randn(2, 3, 4, 8, 12, generator=torch.Generator().manual_seed(0))


def test_a_patch_of_two_gives_the_haar_bands_of_each_cell(video):
    torch.testing.assert_close(patch(video, 2), split_by_definition(video))


def test_a_patch_of_four_splits_every_band_again(video):
    torch.testing.assert_close(patch(video, 4), split_by_definition(split_by_definition(video)))


@pytest.mark.parametrize(("patch_size", "num_levels"), [(1, 0), (2, 1), (4, 2)])
def test_unpatching_restores_the_pixels_up_to_the_published_gain(video, patch_size, num_levels):
    restored = unpatch(patch(video, patch_size), patch_size)
    torch.testing.assert_close(restored, video * GAIN ** (2 * num_levels))


def test_a_flat_colour_is_kept_in_the_first_band():
    colour = torch.tensor([0.25, -0.5, 1.0])
    bands = patch(colour.view(1, 3, 1, 1, 1).expand(1, 3, 2, 2, 2), 2)
    expected = torch.tensor([0.25 * GAIN, -0.5 * GAIN, GAIN] + [0.0] * 21)
    torch.testing.assert_close(bands.flatten(), expected)


def test_stripes_across_the_width_are_in_the_second_band():
    stripes = torch.tensor([1.0, -1.0]).expand(1, 1, 2, 2, 2)
    torch.testing.assert_close(patch(stripes, 2).flatten(), torch.tensor([0, GAIN, 0, 0, 0, 0, 0, 0]))


def test_a_patch_size_that_is_no_power_of_two_is_refused(video):
    with pytest.raises(AssertionError, match="patch_size 3"):
        patch(video, 3)
