import json
import os
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from ursa_ray.checkpoint import TextTokenizer, open_checkpoint
from ursa_ray.errors import CheckpointError
from ursa_ray.model import Ursa
from ursa_ray.model.loading import load_codebook, load_transformer

CPU = torch.device("cpu")
STEM = "diffusion_pytorch_model"
OPTIONS = {"height": 64, "width": 96, "num_frames": 1, "num_inference_steps": 3, "max_prompt_length": 16}


@pytest.fixture
def folder(golden_folder, tmp_path):
    """A copy of the small image checkpoint that may be changed."""
    return shutil.copytree(golden_folder / "tiny-ibq", tmp_path / "model", copy_function=shutil.copyfile)


@pytest.fixture
def weights(folder):
    return load_file(folder / "transformer" / f"{STEM}.safetensors")


def load(folder, dtype=torch.float32):
    return Ursa.from_pretrained(str(folder), device="cpu", dtype=dtype)


def edit(file, **changes):
    """Set keys of a JSON file; None takes one out."""
    raw = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))


def replace_weights(folder, weights, suffix):
    (folder / f"{STEM}.safetensors").unlink()
    if suffix == ".safetensors":
        save_file(weights, folder / f"{STEM}.safetensors")
    else:
        torch.save(weights, folder / f"{STEM}{suffix}")


def shard(folder, weights, suffix):
    """Two shards and their index, in place of one file."""
    (folder / f"{STEM}.safetensors").unlink()
    weight_map = {name: f"{STEM}-0000{1 + i % 2}-of-00002{suffix}" for i, name in enumerate(weights)}
    for file in set(weight_map.values()):
        part = {name: weights[name] for name in weights if weight_map[name] == file}
        save_file(part, folder / file) if suffix == ".safetensors" else torch.save(part, folder / file)
    (folder / f"{STEM}{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.mark.parametrize("suffix", [".bin", ".pth"])
@pytest.mark.parametrize("sharded", [False, True])
def test_every_format_of_weights_gives_the_same_codes(folder, weights, suffix, sharded):
    expected = load(folder).generate("a bear", **OPTIONS)
    (shard if sharded else replace_weights)(folder / "transformer", weights, suffix)
    vae = load_file(folder / "vae" / f"{STEM}.safetensors")
    replace_weights(folder / "vae", vae, suffix)
    assert torch.equal(load(folder).generate("a bear", **OPTIONS), expected)


def test_shards_give_the_same_codes(folder, weights):
    expected = load(folder).generate("a bear", **OPTIONS)
    shard(folder / "transformer", weights, ".safetensors")
    assert torch.equal(load(folder).generate("a bear", **OPTIONS), expected)


def test_safetensors_are_preferred_to_pickles(folder):
    (folder / "transformer" / f"{STEM}.bin").write_bytes(b"never read")
    load(folder)


def test_all_tensors_that_do_not_fit_are_named_at_once(folder, weights):
    del weights["model.norm.weight"]
    weights["model.extra.weight"] = torch.zeros(3)
    weights["lm_head.weight"] = torch.zeros(639, 16)
    replace_weights(folder / "transformer", weights, ".safetensors")
    with pytest.raises(CheckpointError) as error:
        load(folder)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{folder / 'transformer'}: the weights do not fit config.json:"
    assert sorted(line.strip() for line in lines[1:-1]) == [
        "lm_head.weight is (639, 16), expected (640, 16)",
        "missing model.norm.weight (16,)",
        "unexpected model.extra.weight (3,)",
    ]
    assert lines[-1] == "Fetch the checkpoint again, or correct its config.json."


def test_of_many_tensors_that_do_not_fit_the_rest_is_counted(folder, weights):
    replace_weights(folder / "transformer", {}, ".safetensors")
    with pytest.raises(CheckpointError, match=rf"\n  and {len(weights) - 8} more\n") as error:
        load(folder)
    assert str(error.value).count("missing") == 8


class Malice:
    """Creates a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("suffix", [".bin", ".pth"])
@pytest.mark.parametrize("write", [torch.save, lambda content, file: file.write_bytes(pickle.dumps(content))])
@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(folder, tmp_path, weights, write, suffix, part):
    (folder / part / f"{STEM}.safetensors").unlink()
    write(weights | {"model.extra": Malice(tmp_path / "ran")}, folder / part / f"{STEM}{suffix}")
    with pytest.raises(CheckpointError, match=rf"{STEM}\{suffix}: "):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_a_codebook_that_runs_code_is_refused_and_does_not_run(folder, tmp_path):
    torch.save({"path.emb": Malice(tmp_path / "ran")}, folder / "scheduler" / "scheduler_model.pth")
    with pytest.raises(
        CheckpointError, match=r"scheduler_model\.pth: is damaged, or holds more than tensors, which is"
    ):
        load(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("keep", [0, 5, 0.5, 0.999])
def test_weights_that_were_cut_off_are_refused(folder, weights, suffix, keep):
    replace_weights(folder / "transformer", weights, suffix)
    file = folder / "transformer" / f"{STEM}{suffix}"
    content = file.read_bytes()
    file.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(CheckpointError, match=rf"{STEM}\{suffix}: "):
        load(folder)


def test_a_list_of_tensors_is_no_checkpoint(folder):
    replace_weights(folder / "transformer", [torch.zeros(3)], ".bin")
    with pytest.raises(CheckpointError, match=r"\.bin: expected a dictionary of tensors\.$"):
        load(folder)


def test_a_folder_without_weights_says_what_it_expected(folder):
    (folder / "vae" / f"{STEM}.safetensors").unlink()
    with pytest.raises(CheckpointError, match=rf"vae: no weights here\. Expected {STEM}\.safetensors, \.bin or \.pth"):
        load(folder)


def test_a_missing_shard_is_named(folder, weights):
    shard(folder / "transformer", weights, ".safetensors")
    (folder / "transformer" / f"{STEM}-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"00002-of-00002\.safetensors: cannot be read"):
        load(folder)


@pytest.mark.parametrize(
    "index", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": null, "b": "c"}}']
)
def test_a_damaged_index_is_refused(folder, index):
    (folder / "transformer" / f"{STEM}.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match=r"index\.json: is not an index of weights\."):
        load(folder)


@pytest.mark.parametrize("name", ["../vae/diffusion_pytorch_model.safetensors", "/etc/passwd", ".."])
def test_an_index_cannot_lead_out_of_its_folder(folder, name):
    index = folder / "transformer" / f"{STEM}.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match=r"index\.json: names .*, expected a file beside it\.$"):
        load(folder)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "model_index.json",
            {"_class_name": "NOVAPipeline"},
            r"_class_name is 'NOVAPipeline', expected 'URSAPipeline'",
        ),
        ("model_index.json", {"_class_name": None}, r"_class_name is None, expected 'URSAPipeline'"),
        ("vae/config.json", {"_class_name": "AutoencoderKL"}, r"vae/config\.json: _class_name is 'AutoencoderKL', exp"),
        ("transformer/config.json", {"hidden_size": "16"}, r"hidden_size is '16', expected a positive whole number\.$"),
        ("transformer/config.json", {"hidden_size": 0}, r"hidden_size is 0, expected a positive whole number\.$"),
        (
            "transformer/config.json",
            {"hidden_size": 16.0},
            r"hidden_size is 16\.0, expected a positive whole number\.$",
        ),
        ("transformer/config.json", {"hidden_size": True}, r"hidden_size is True, expected a positive whole number\.$"),
        ("transformer/config.json", {"rope_theta": "1e6"}, r"rope_theta is '1e6', expected a number\.$"),
        ("vae/config.json", {"block_out_channels": 32}, r"block_out_channels is 32, expected a list of positive"),
        ("vae/config.json", {"block_out_channels": [32, -1]}, r"block_out_channels is \[32, -1\], expected a list of"),
        ("vae/config.json", {"attn_up_block": "yes"}, r"attn_up_block is 'yes', expected true or false\.$"),
        ("vae/config.json", {"decoder_dtype": 16}, r"decoder_dtype is 16, expected a string\.$"),
        ("vae/config.json", {"decoder_dtype": "float12"}, r"decoder_dtype is 'float12', expected the name of a torch"),
        ("scheduler/scheduler_config.json", {"alpha": "1"}, r"alpha is '1', expected a number\.$"),
        ("scheduler/scheduler_config.json", {"c": None}, r"alpha is given without c\. The metric path needs both\.$"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(folder, file, changes, message):
    edit(folder / file, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(folder)


def test_a_size_that_a_configuration_leaves_out_is_the_published_default_and_then_does_not_fit(folder):
    edit(folder / "transformer" / "config.json", hidden_size=None)
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight is \(16,\), expected \(2048,\)|and \d+ more"):
        load(folder)


@pytest.mark.parametrize("file", ["model_index.json", "transformer/config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize("content", [None, "", "{", "[]", "\xff"])
def test_a_configuration_that_is_missing_or_no_json_is_named(folder, file, content):
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content.encode("latin-1"))
    told = rf"{file}: (cannot be read|is not JSON|holds list, expected a JSON object)"
    if (content, file) == (None, "model_index.json"):
        told = r"/model: is no model: it has no model_index\.json\. Expected tiny, the folder of an URSA checkpoint"
    with pytest.raises(CheckpointError, match=told):
        load(folder)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({}, "nothing"),
        ({"emb": torch.zeros(640, 8)}, "nothing"),
        ({"path.emb": torch.zeros(639, 8)}, r"shape \(639, 8\)"),
        ({"path.emb": torch.zeros(640)}, r"shape \(640,\)"),
    ],
)
def test_a_codebook_that_does_not_fit_is_refused(folder, content, found):
    torch.save(content, folder / "scheduler" / "scheduler_model.pth")
    with pytest.raises(CheckpointError, match=rf"scheduler: path\.emb has {found}, expected \(640, e\)\. Fetch"):
        load(folder)


def test_the_codebook_is_the_stored_one_in_float32(folder):
    stored = torch.load(folder / "scheduler" / "scheduler_model.pth", weights_only=True)["path.emb"]
    assert stored.dtype == torch.float16
    codebook = load_codebook(open_checkpoint(str(folder)), CPU)
    assert codebook.dtype == torch.float32
    assert torch.equal(codebook, stored.float())


def test_the_decoder_keeps_the_dtype_of_its_configuration(folder):
    edit(folder / "vae" / "config.json", decoder_dtype="float32")
    ursa = load(folder, torch.float16)
    dtypes = {name.split(".")[0]: weight.dtype for name, weight in ursa.tokenizer.named_parameters()}
    assert dtypes.pop("decoder") == torch.float32
    assert set(dtypes.values()) == {torch.float16}
    codes = ursa.generate("a bear", **OPTIONS)
    assert ursa.decode(codes).shape == (1, 64, 96, 3)


@pytest.mark.parametrize("head_dim", [16, None])
def test_the_head_dimension_is_that_of_the_weights(folder, weights, head_dim):
    edit(folder / "transformer" / "config.json", head_dim=head_dim)
    assert weights["model.layers.0.self_attn.q_norm.weight"].shape == (128,)
    assert load_transformer(open_checkpoint(str(folder)), CPU, torch.float32).config.head_dim == 128


def test_the_configured_head_dimension_stands_where_the_weights_have_it(random_checkpoint):
    checkpoint = open_checkpoint(str(random_checkpoint))
    transformer = load_transformer(checkpoint, CPU, torch.float32)
    assert transformer.config == checkpoint.transformer
    assert transformer.config.head_dim == 32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_are_frozen_and_of_the_chosen_dtype(folder, dtype):
    ursa = load(folder, dtype)
    parameters = [*ursa.transformer.parameters(), *ursa.tokenizer.parameters()]
    assert {weight.dtype for weight in parameters} == {dtype}
    assert not any(weight.requires_grad for weight in parameters)
    assert ursa.dtype == dtype and ursa.device == CPU


def test_a_vocabulary_with_merges_gives_the_ids_of_the_whole_tokenizer(folder, golden, cases):
    for file in ("tokenizer.json", "special_tokens_map.json"):
        (folder / "tokenizer" / file).unlink()
    text = TextTokenizer.from_folder(folder / "tokenizer")
    # The recorded tokenizers differ in no token of the prompts.
    assert text.encode(cases["prompt"], 48) == golden["prompt_ids"][0].tolist()
    assert text.encode(cases["negative_prompt"], 48) == golden["negative_prompt_ids"][0].tolist()
    assert text.encode("", 3) == [0, 0, 0]
    assert text.encode("", 2) + text.encode(cases["prompt"], 200)[-5:] == [0, 0, *golden["prompt_ids"][0, -5:].tolist()]
