from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ursa_ray.errors import OptionError
from ursa_ray.media import write_film
from ursa_ray.model.video_tokenizer import VideoTokenizer
from ursa_ray.training import world
from ursa_ray.training.shards import SCHEMA, Example, Origin, is_made, read_shards, write_shard
from ursa_ray.training.tokenize import cover_tokens, tokenize

ORIGIN = Origin("abc", "9 frames of 32x24 at 12 fps", "drawn by hand")


def tokenized(config, tokenizer, folder, **changes):
    shards = config.shards.model_copy(update=changes)
    return tokenize(shards, config.model, config.seed, tokenizer, folder)


@pytest.fixture
def tokenizer(config):
    torch.manual_seed(0)
    return VideoTokenizer(config.model.tokenizer_config())


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    return [
        Example(rng.integers(0, 1000, (3, 2, 4)), (f"clip {i}", "a red square"), rng.integers(0, 256, (3, 2, 4)) / 255)
        for i in range(5)
    ]


def test_examples_come_back_as_they_were(tmp_path, examples):
    write_shard(tmp_path / "0.parquet", examples[:3], ORIGIN)
    write_shard(tmp_path / "1.parquet", examples[3:], ORIGIN)
    for written, read in zip(examples, read_shards(tmp_path), strict=True):
        assert np.array_equal(written.codes, read.codes) and read.codes.dtype == np.int64
        assert written.captions == read.captions
        np.testing.assert_allclose(read.foreground, written.foreground, atol=1e-6)


def test_large_codebooks_and_unknown_foreground_come_back(tmp_path):
    write_shard(tmp_path / "0.parquet", [Example(np.array([[[131_071, 0]]]), ("an image",))], ORIGIN)
    (read,) = read_shards(tmp_path)
    assert read.codes.tolist() == [[[131_071, 0]]] and read.foreground is None


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(OptionError, match="no shards"):
        list(read_shards(tmp_path))


def test_a_row_that_does_not_fit_its_shape_is_named(tmp_path):
    row = {"codes": b"123", "shape": [1, 2, 2], "captions": ["a"], "foreground": b""}
    pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), tmp_path / "0.parquet")
    with pytest.raises(OptionError, match="row 0: 3 bytes of codes"):
        list(read_shards(tmp_path))


def test_the_world_is_tokenised_into_shards_that_are_not_made_twice(tmp_path, config, tokenizer):
    assert tokenized(config, tokenizer, tmp_path) == 2
    files = sorted(tmp_path.glob("*.parquet"))
    before = [file.stat().st_mtime_ns for file in files]
    examples = list(read_shards(tmp_path))
    assert len(files) == 2 and len(examples) == 24
    assert examples[0].codes.shape == (3, 3, 4) and len(set(examples[0].captions)) > 1
    files[1].unlink()
    assert tokenized(config, tokenizer, tmp_path) == 1
    assert files[0].stat().st_mtime_ns == before[0]
    assert [example.captions for example in read_shards(tmp_path)] == [example.captions for example in examples]


def test_shards_of_another_tokenizer_are_refused(tmp_path, config, tokenizer):
    tokenized(config, tokenizer, tmp_path)
    with torch.no_grad():
        tokenizer.quant_conv.weight.mul_(1.01)
    with pytest.raises(OptionError, match=r"00000\.parquet: was made with tokenizer .*, expected .*Delete"):
        tokenized(config, tokenizer, tmp_path)


def test_shards_stay_good_when_the_decoder_alone_is_trained(tmp_path, config, tokenizer):
    tokenized(config, tokenizer, tmp_path)
    with torch.no_grad():
        tokenizer.post_quant_conv.weight.mul_(1.01)
    assert tokenized(config, tokenizer, tmp_path) == 0


@pytest.mark.parametrize(("changes", "what"), [({"per_shard": 24}, "clips 12 of"), ({"clips": 12}, "none of the 1")])
def test_shards_of_other_clips_are_refused(tmp_path, config, tokenizer, changes, what):
    tokenized(config, tokenizer, tmp_path)
    with pytest.raises(OptionError, match=what):
        tokenized(config, tokenizer, tmp_path, **changes)


def test_a_shard_that_does_not_say_what_it_is_of_is_refused(tmp_path):
    pq.write_table(pa.Table.from_pylist([], schema=SCHEMA), tmp_path / "0.parquet")
    with pytest.raises(OptionError, match="made with tokenizer unknown"):
        is_made(tmp_path / "0.parquet", ORIGIN)


def test_a_token_is_foreground_where_any_of_its_frames_is_covered():
    foreground = torch.zeros(1, 9, 16, 16)
    foreground[0, 0, :8, :8] = 1
    foreground[0, 7, 8:, 8:10] = 1
    covered = cover_tokens(foreground, temporal_stride=4, spatial_stride=8)
    assert covered[0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 1]]]


def test_a_folder_of_clips_is_cut_into_windows(tmp_path, config, tokenizer):
    clips = tmp_path / "clips"
    clips.mkdir()
    scene = world.sample_scene(np.random.default_rng(0), "train")
    write_film(clips / "ball.mp4", iter(world.draw(scene, num_frames=24)), 24, (64, 48), Fraction(12))
    (clips / "ball.txt").write_text("a ball rolls\n\nsomething rolls\n")
    tokenized(config, tokenizer, tmp_path / "shards", source=clips)
    examples = list(read_shards(tmp_path / "shards"))
    assert len(examples) > 0
    assert all(example.codes.shape == (3, 3, 4) and example.foreground is None for example in examples)
    assert examples[0].captions == ("a ball rolls", "something rolls")
    (clips / "ball.txt").write_text("a ball stops\n")
    with pytest.raises(OptionError, match="was made with clips"):
        tokenized(config, tokenizer, tmp_path / "shards", source=clips)


def test_a_caption_without_a_clip_is_refused(tmp_path, config, tokenizer):
    (tmp_path / "ball.txt").write_text("a ball rolls")
    with pytest.raises(OptionError, match=r"ball\.txt: has no clip"):
        tokenized(config, tokenizer, tmp_path / "shards", source=tmp_path)
