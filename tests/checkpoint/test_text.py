import json
import shutil
from contextlib import suppress

import pytest
from safetensors import safe_open

from ursa_ray.checkpoint import TextTokenizer
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.errors import CheckpointError

PROMPT = "a lone grizzly bear walks through a misty forest at dawn"


@pytest.fixture(scope="module")
def text():
    return TextTokenizer.from_folder(TINY / "tokenizer")


@pytest.fixture
def folder(goldens, tmp_path):
    return shutil.copytree(goldens / "tiny-fsq" / "tokenizer", tmp_path / "tokenizer", copy_function=shutil.copyfile)


@pytest.mark.parametrize("kind", ["fsq", "ibq"])
@pytest.mark.parametrize(("key", "name"), [("prompt", "prompt_ids"), ("negative_prompt", "negative_prompt_ids")])
def test_prompts_have_the_published_ids(goldens, kind, key, name):
    text = TextTokenizer.from_folder(goldens / f"tiny-{kind}" / "tokenizer")
    with safe_open(goldens / f"golden-{kind}.safetensors", "np") as golden:
        expected = golden.get_tensor(name)[0].tolist()
    assert text.encode(json.loads((goldens / "cases.json").read_text())[key], 48) == expected


def test_a_short_prompt_is_padded_on_the_left(text):
    ids, num_tokens = text.encode(PROMPT, 64), text.count(PROMPT)
    assert len(ids) == 64 and num_tokens < 64
    assert ids[: 64 - num_tokens] == [0] * (64 - num_tokens)
    assert 0 not in ids[64 - num_tokens :]


def test_a_long_prompt_is_cut_on_the_right(text):
    whole = text.encode(PROMPT, text.count(PROMPT))
    assert text.encode(PROMPT, 5) == whole[:5]
    assert text.encode(PROMPT, 64)[-len(whole) :] == whole


def test_no_prompt_is_padding_alone(text):
    assert text.encode("", 5) == [0] * 5
    assert text.count("") == 0


@pytest.mark.parametrize("prompt", ["caf\xe9 \u4e2d\u6587 \U0001f43b", "\n\t ", "motion=9.0, a bear", "x" * 5000])
def test_any_text_has_ids_of_the_vocabulary(text, prompt):
    ids = text.encode(prompt, 320)
    assert len(ids) == 320
    assert all(0 <= token < 512 for token in ids)


def test_counting_is_not_limited_by_the_length_of_prompts(text):
    assert text.count("bear " * 1000) >= 1000


@pytest.mark.parametrize("content", ["", "{}", "no json"])
def test_a_damaged_tokenizer_is_named(folder, content):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: is not a tokenizer \("):
        TextTokenizer.from_folder(folder)


def test_padding_and_truncation_of_the_file_are_not_used(folder):
    from tokenizers import Tokenizer

    plain = TextTokenizer.from_folder(folder).encode(PROMPT, 40)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=100)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert TextTokenizer.from_folder(folder).encode(PROMPT, 40) == plain


@pytest.mark.parametrize(
    ("config", "pad_id"),
    [
        ("{}", 0),
        ('{"pad_token": null}', 0),
        ('{"pad_token": "<|vision_end|>"}', 2),
        ('{"pad_token": {"content": "<|vision_start|>", "lstrip": false}}', 1),
    ],
)
def test_the_pad_token_is_the_configured_one(folder, config, pad_id):
    (folder / "tokenizer_config.json").write_text(config)
    assert TextTokenizer.from_folder(folder).encode("", 2) == [pad_id, pad_id]


def test_a_pad_token_without_an_id_is_refused(folder):
    (folder / "tokenizer_config.json").write_text('{"pad_token": "<pad>"}')
    with pytest.raises(CheckpointError, match=r"tokenizer: the pad token '<pad>' has no id\.$"):
        TextTokenizer.from_folder(folder)


@pytest.mark.parametrize("content", [None, "{"])
def test_a_tokenizer_without_its_configuration_is_refused(folder, content):
    (folder / "tokenizer_config.json").unlink()
    if content is not None:
        (folder / "tokenizer_config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: (cannot be read|is not JSON)"):
        TextTokenizer.from_folder(folder)


@pytest.mark.parametrize("keep", [[], ["tokenizer_config.json"], ["tokenizer_config.json", "vocab.json"]])
def test_a_folder_without_a_tokenizer_is_refused(folder, keep):
    for path in list(folder.iterdir()):
        if path.name not in keep:
            path.unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer: no tokenizer here"):
        TextTokenizer.from_folder(folder)


@pytest.mark.parametrize("file", ["vocab.json", "merges.txt"])
def test_a_damaged_vocabulary_is_refused(folder, file):
    (folder / "tokenizer.json").unlink()
    (folder / file).write_text("{ damaged")
    with pytest.raises(CheckpointError, match=r"tokenizer: (is not a tokenizer \(|the pad token .* has no id)"):
        TextTokenizer.from_folder(folder)


def test_no_code_of_a_tokenizer_runs(folder, tmp_path):
    (folder / "tokenizer.json").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    theirs = {"tokenizer_class": "Theirs", "auto_map": {"AutoTokenizer": ["theirs.Theirs", "theirs.Theirs"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | theirs))
    (folder / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Theirs: pass\n")
    with suppress(CheckpointError):
        TextTokenizer.from_folder(folder)
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_is_missing_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"tokenizer: no tokenizer here"):
        TextTokenizer.from_folder(tmp_path / "tokenizer")
