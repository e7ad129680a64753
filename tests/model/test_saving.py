import torch
from safetensors.torch import load_file

from ursa_ray.checkpoint.hub import TINY
from ursa_ray.model import Ursa


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_a_saved_model_has_the_files_of_the_shipped_one(random_checkpoint):
    assert files(random_checkpoint).keys() == files(TINY).keys()


def test_whoever_may_read_one_file_may_read_all(random_checkpoint):
    assert len({path.stat().st_mode for path in files(random_checkpoint).values()}) == 1


def test_a_saved_model_loads_with_the_weights_that_were_stored(random_checkpoint):
    ursa = Ursa.from_pretrained(str(random_checkpoint), device="cpu")
    for part, module in (("transformer", ursa.transformer), ("vae", ursa.tokenizer)):
        stored = load_file(random_checkpoint / part / "diffusion_pytorch_model.safetensors")
        loaded = module.state_dict()
        assert stored.keys() == loaded.keys()
        assert all(torch.equal(stored[name].float(), loaded[name]) for name in stored)
