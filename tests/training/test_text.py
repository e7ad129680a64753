import numpy as np
import pytest

from ursa_ray.checkpoint import TextTokenizer
from ursa_ray.training import world
from ursa_ray.training.captions import caption, words_of
from ursa_ray.training.stages import word_vocabulary
from ursa_ray.training.text import BEGIN_OF_VISUAL, PAD


@pytest.fixture(scope="module")
def words():
    return word_vocabulary()


@pytest.fixture(scope="module")
def text(words):
    return TextTokenizer(words, words.token_to_id(PAD))


def test_padding_is_0_and_begin_of_visual_1(words):
    assert (words.token_to_id(PAD), words.token_to_id(BEGIN_OF_VISUAL)) == (0, 1)


def test_every_word_of_a_caption_is_one_token(text):
    rng = np.random.default_rng(0)
    for _ in range(200):
        said = caption(world.sample_scene(rng, "train"), rng)
        assert text.count(said) == len(words_of(said))


def test_no_caption_is_cut(text):
    rng = np.random.default_rng(0)
    said = [caption(world.sample_scene(rng, "train"), rng) for _ in range(2_000)]
    assert max(map(text.count, said)) <= 32


@pytest.mark.parametrize("prompt", ["zebra", "Ein Bär im Schnee", "熊", "\t<>[]{}#~", "1234567"])
def test_words_that_nobody_trained_have_tokens(text, prompt):
    assert text.count(prompt) > 0


def test_case_and_spaces_do_not_matter(text):
    assert text.encode("A  RED square,up", 8) == text.encode("a red square , up", 8)


def test_the_empty_prompt_is_padding(text):
    assert text.encode("", 4) == [0, 0, 0, 0]


def test_a_saved_vocabulary_gives_the_same_ids(text, words, tmp_path):
    words.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": "<|endoftext|>"}')
    prompt = "motion=9.0, a red zebra moves"
    assert TextTokenizer.from_folder(tmp_path).encode(prompt, 32) == text.encode(prompt, 32)
