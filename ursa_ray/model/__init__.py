"""URSA inference in our own code: load a released checkpoint, generate codes, decode them to frames.

    ursa = Ursa.from_pretrained("tiny")
    frames = ursa.decode(ursa.generate("a red square moves to the right", seed=1))

One legend for the axes in the signatures of this package:

    b       prompts of one sequence: conditional, then unconditional
    n       positions of a sequence, or tokens that are worked on together
    p       text positions
    t h w   latent frames, rows and columns of codes; t_given are those of a condition
    c       channels; frames, height, width and images are of pixels
    d       width of the transformer, or of one attention head
    k       codes of the codebook
    e       components of a codebook vector
"""

from ursa_ray.model.backends import Backends, choose_backends
from ursa_ray.model.devices import (
    Devices,
    Parallel,
    check_devices,
    choose_device,
    choose_dtype,
    device_model,
    device_name,
)
from ursa_ray.model.draws import require_draws
from ursa_ray.model.loading import check_weights
from ursa_ray.model.ursa import Ursa

__all__ = [
    "Backends",
    "Devices",
    "Parallel",
    "Ursa",
    "check_devices",
    "check_weights",
    "choose_backends",
    "choose_device",
    "choose_dtype",
    "device_model",
    "device_name",
    "require_draws",
]
