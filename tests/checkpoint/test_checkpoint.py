import hashlib
import json
import shutil
from fractions import Fraction

import pytest

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.checkpoint.config import ImageTokenizerConfig, VideoTokenizerConfig
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.errors import CheckpointError


@pytest.fixture
def folder(goldens, tmp_path):
    """A copy of the small video checkpoint that may be changed; it has no defaults file."""
    return shutil.copytree(goldens / "tiny-fsq", tmp_path / "model", copy_function=shutil.copyfile)


def write_defaults(folder, **defaults):
    (folder / "ursa_ray.json").write_text(json.dumps(defaults))


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("name", ["BAAI/URSA-0.6B-FSQ320", "BAAI/URSA-1.7B-FSQ320", "BAAI/URSA-1.7B-FSQ320@2440a097"])
def test_released_video_models_are_planned_with_before_any_download(name):
    checkpoint = open_checkpoint(name)
    defaults = checkpoint.defaults
    assert (checkpoint.name, checkpoint.folder, checkpoint.makes_video) == (name, None, True)
    assert (defaults.width, defaults.height, defaults.frames, defaults.overlap) == (512, 320, 49, 13)
    assert (defaults.fps, defaults.steps, defaults.max_prompt_length) == (12, 50, 320)
    assert (checkpoint.path.alpha, checkpoint.path.c) == (1.0, 5.0)


@pytest.mark.parametrize(
    ("name", "side"),
    [("BAAI/URSA-0.6B-IBQ1024", 1024), ("BAAI/URSA-1.7B-IBQ1024", 1024), ("BAAI/URSA-1.7B-IBQ512", 512)],
)
def test_released_image_models_are_planned_with_before_any_download(name, side):
    checkpoint = open_checkpoint(name)
    defaults = checkpoint.defaults
    assert not checkpoint.makes_video
    assert (defaults.width, defaults.height, defaults.frames, defaults.steps) == (side, side, 1, 25)
    assert (checkpoint.path.alpha, checkpoint.path.c) == (0.5, 6.0)


def test_a_released_model_in_a_plain_folder_keeps_its_defaults(folder):
    released = folder.rename(folder.with_name("URSA-1.7B-FSQ320"))
    defaults = open_checkpoint(str(released)).defaults
    assert (defaults.width, defaults.height, defaults.steps) == (512, 320, 50)


def test_the_defaults_file_decides(folder):
    write_defaults(folder, width=96, height=64, fps="24000/1001", overlap=9, trained_sizes=[[96, 64], [64, 96]])
    defaults = open_checkpoint(str(folder)).defaults
    assert (defaults.width, defaults.height, defaults.overlap) == (96, 64, 9)
    assert defaults.fps == Fraction(24000, 1001)
    assert defaults.trained_sizes == ((96, 64), (64, 96))
    assert (defaults.frames, defaults.steps, defaults.max_prompt_length) == (49, 50, 320)


@pytest.mark.parametrize(("sample_frames", "overlap"), [(49, 13), (17, 5), (97, 25), (33, 9), (5, 1), (1, 1)])
def test_the_overlap_is_about_a_quarter_of_the_window_in_whole_latent_frames(folder, sample_frames, overlap):
    edit(folder / "vae" / "config.json", sample_frames=sample_frames)
    defaults = open_checkpoint(str(folder)).defaults
    assert (defaults.frames, defaults.overlap) == (sample_frames, overlap)
    assert (defaults.width, defaults.height) == (None, None)


def test_an_image_model_makes_one_frame(goldens):
    checkpoint = open_checkpoint(str(goldens / "tiny-ibq"))
    assert not checkpoint.makes_video
    assert (checkpoint.defaults.frames, checkpoint.defaults.overlap) == (1, 1)


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        (
            {"colour": 1},
            r"unknown key 'colour'\. Known: width, height, fps, frames, overlap, steps, guidance, max_prompt_length",
        ),
        ({"width": 0}, r"width is 0, expected a positive whole number\.$"),
        ({"steps": 2.5}, r"steps is 2\.5, expected a positive whole number\.$"),
        ({"frames": "17"}, r"frames is '17', expected a positive whole number\.$"),
        ({"overlap": True}, r"overlap is True, expected a positive whole number\.$"),
        ({"steps": None}, r"steps is None, expected a positive whole number\.$"),
        ({"fps": "fast"}, r"fast.*Expected fps such as 12"),
        ({"fps": "1/0"}, r"Expected fps such as 12"),
        ({"fps": 0}, r"fps is 0, expected more than 0\.$"),
        ({"fps": -12}, r"fps is -12, expected more than 0\.$"),
        ({"trained_sizes": [512, 320]}, r"trained_sizes such as \[\[512, 320\]\]\.$"),
        ({"trained_sizes": [[512]]}, r"trained_sizes such as \[\[512, 320\]\]\.$"),
    ],
)
def test_a_defaults_file_that_cannot_be_used_is_refused(folder, defaults, message):
    write_defaults(folder, **defaults)
    with pytest.raises(CheckpointError, match=rf"ursa_ray\.json: .*{message}"):
        open_checkpoint(str(folder))


def test_a_folder_is_found_relative_to_the_storyboard(folder, tmp_path):
    checkpoint = open_checkpoint("model", base=tmp_path)
    assert checkpoint.folder == folder
    assert checkpoint.name == str(folder)


def test_a_folder_is_found_from_home(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_checkpoint("~/model").name == str(folder)


def test_tiny_keeps_its_name():
    checkpoint = open_checkpoint("tiny")
    assert (checkpoint.name, checkpoint.folder) == ("tiny", TINY)


def test_sizes_are_those_of_the_configuration_files(folder):
    checkpoint = open_checkpoint(str(folder))
    assert checkpoint.transformer.hidden_size == 16
    assert checkpoint.transformer.lm_head_size == 64_000
    # Not in the file: the published class's own.
    assert checkpoint.transformer.rms_norm_eps == 1e-6
    assert isinstance(checkpoint.tokenizer, VideoTokenizerConfig)
    assert checkpoint.tokenizer.block_out_channels == (8, 16, 16, 16)
    assert checkpoint.tokenizer.levels == (8, 8, 8, 5, 5, 5)
    assert checkpoint.path.shift == 3.0


def test_an_image_tokenizer_has_its_own_sizes(goldens):
    tokenizer = open_checkpoint(str(goldens / "tiny-ibq")).tokenizer
    assert isinstance(tokenizer, ImageTokenizerConfig)
    assert (tokenizer.num_vq_embeddings, tokenizer.vq_embed_dim, tokenizer.spatial_stride) == (640, 8, 16)


WEIGHTS = [
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "scheduler/scheduler_model.pth",
    "tokenizer/tokenizer.json",
    "tokenizer/merges.txt",
    "transformer/config.json",
    "scheduler/scheduler_config.json",
]


@pytest.mark.parametrize("file", WEIGHTS)
@pytest.mark.parametrize("place", [0, 0.5, -1], ids=["first", "middle", "last"])
def test_any_byte_of_the_weights_changes_their_hash(folder, file, place):
    checkpoint = open_checkpoint(str(folder))
    before = checkpoint.weights_sha256()
    content = bytearray((folder / file).read_bytes())
    content[int(place * len(content)) if place > 0 else place] ^= 1
    (folder / file).write_bytes(content)
    assert checkpoint.weights_sha256() != before


def test_a_file_moved_to_another_part_changes_the_hash(folder):
    checkpoint = open_checkpoint(str(folder))
    before = checkpoint.weights_sha256()
    (folder / "vae" / "scheduler_model.pth").write_bytes((folder / "scheduler" / "scheduler_model.pth").read_bytes())
    (folder / "scheduler" / "scheduler_model.pth").unlink()
    assert checkpoint.weights_sha256() != before


def test_the_hash_is_of_names_and_contents_and_not_of_the_place(folder, goldens):
    digest = hashlib.sha256()
    for part in ("transformer", "vae", "scheduler", "tokenizer"):
        for path in sorted((folder / part).iterdir()):
            digest.update(f"{part}/{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    assert open_checkpoint(str(folder)).weights_sha256() == digest.hexdigest()
    assert open_checkpoint(str(goldens / "tiny-fsq")).weights_sha256() == digest.hexdigest()


def test_what_computes_nothing_is_not_in_the_hash(folder):
    checkpoint = open_checkpoint(str(folder))
    before = checkpoint.weights_sha256()
    (folder / "README.md").write_text("a card")
    (folder / "transformer" / "__pycache__").mkdir()
    (folder / "transformer" / "__pycache__" / "diffnext.pyc").write_bytes(b"code")
    write_defaults(folder, width=96)
    assert open_checkpoint(str(folder)).weights_sha256() == before


def test_the_hubs_cache_has_the_hash_of_the_plain_folder(folder, tmp_path):
    """There, files are links to blobs: large ones named by their sha256, small ones by a git hash."""
    expected = open_checkpoint(str(folder)).weights_sha256()
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        large = path.suffix in (".safetensors", ".pth")
        content = path.read_bytes()
        blob = blobs / (hashlib.sha256 if large else hashlib.sha1)(content).hexdigest()
        path.replace(blob)
        path.symlink_to(blob)
    assert open_checkpoint(str(folder)).weights_sha256() == expected


def test_a_model_that_is_not_here_is_hashed_by_its_name():
    names = ["BAAI/URSA-0.6B-FSQ320", "BAAI/URSA-1.7B-FSQ320", "BAAI/URSA-1.7B-FSQ320@v1"]
    assert len({open_checkpoint(name).weights_sha256() for name in names}) == 3


def test_a_model_can_have_its_own_guidance(folder):
    assert open_checkpoint(str(folder)).defaults.guidance == 7.0
    write_defaults(folder, guidance=3.0)
    assert open_checkpoint(str(folder)).defaults.guidance == 3.0
    write_defaults(folder, guidance=-1)
    with pytest.raises(CheckpointError, match=r"guidance is -1, expected a number of 0 or more"):
        open_checkpoint(str(folder))


def test_a_folder_that_is_no_model_is_said_to_be_none(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"is no model: it has no model_index\.json\. Expected tiny, the folder of"
    ):
        open_checkpoint(str(tmp_path))
