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
from ursa_ray.training.shards import SCHEMA, Example, read_shards, write_shard
from ursa_ray.training.tokenize import cover_tokens, tokenize


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    return [
        Example(rng.integers(0, 1000, (3, 2, 4)), (f"clip {i}", "a red square"), rng.integers(0, 256, (3, 2, 4)) / 255)
        for i in range(5)
    ]


def test_examples_come_back_as_they_were(tmp_path, examples):
    write_shard(tmp_path / "0.parquet", examples[:3])
    write_shard(tmp_path / "1.parquet", examples[3:])
    for written, read in zip(examples, read_shards(tmp_path), strict=True):
        assert np.array_equal(written.codes, read.codes) and read.codes.dtype == np.int64
        assert written.captions == read.captions
        np.testing.assert_allclose(read.foreground, written.foreground, atol=1e-6)


def test_large_codebooks_and_unknown_foreground_come_back(tmp_path):
    write_shard(tmp_path / "0.parquet", [Example(np.array([[[131_071, 0]]]), ("an image",))])
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


def test_the_world_is_tokenised_into_shards_that_are_not_made_twice(tmp_path, config):
    torch.manual_seed(0)
    tokenizer = VideoTokenizer(config.model.tokenizer_config())
    tokenize(config, tokenizer, tmp_path)
    files = sorted(tmp_path.glob("*.parquet"))
    before = [file.stat().st_mtime_ns for file in files]
    examples = list(read_shards(tmp_path))
    assert len(files) == 2 and len(examples) == 24
    assert examples[0].codes.shape == (3, 3, 4) and len(set(examples[0].captions)) > 1
    tokenize(config, tokenizer, tmp_path)
    assert [file.stat().st_mtime_ns for file in files] == before


def test_a_token_is_foreground_where_any_of_its_frames_is_covered():
    foreground = torch.zeros(1, 9, 16, 16)
    foreground[0, 0, :8, :8] = 1
    foreground[0, 7, 8:, 8:10] = 1
    covered = cover_tokens(foreground, temporal_stride=4, spatial_stride=8)
    assert covered[0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 1]]]


def test_a_folder_of_clips_is_cut_into_windows(tmp_path, config):
    clips = tmp_path / "clips"
    clips.mkdir()
    scene = world.sample_scene(np.random.default_rng(0), "train")
    write_film(clips / "ball.mp4", iter(world.draw(scene, num_frames=24)), 24, (64, 48), Fraction(12))
    (clips / "ball.txt").write_text("a ball rolls\n\nsomething rolls\n")
    config = config.model_copy(update={"shards": config.shards.model_copy(update={"source": clips})})
    tokenize(config, VideoTokenizer(config.model.tokenizer_config()), tmp_path / "shards")
    examples = list(read_shards(tmp_path / "shards"))
    assert len(examples) > 0
    assert all(example.codes.shape == (3, 3, 4) and example.foreground is None for example in examples)
    assert examples[0].captions == ("a ball rolls", "something rolls")


def test_a_caption_without_a_clip_is_refused(tmp_path, config):
    (tmp_path / "ball.txt").write_text("a ball rolls")
    config = config.model_copy(update={"shards": config.shards.model_copy(update={"source": tmp_path})})
    with pytest.raises(OptionError, match=r"ball\.txt: has no clip"):
        tokenize(config, VideoTokenizer(config.model.tokenizer_config()), tmp_path / "shards")
