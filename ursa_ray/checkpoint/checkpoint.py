"""What a plan must know of a model: sizes, defaults and the hash of its weights."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ursa_ray.checkpoint.config import (
    PathConfig,
    TokenizerConfig,
    TransformerConfig,
    VideoTokenizerConfig,
    read_json,
    tokenizer_config,
)
from ursa_ray.checkpoint.hub import hub_folder, local_folder
from ursa_ray.checkpoint.released import RELEASED, Released
from ursa_ray.errors import CheckpointError
from ursa_ray.files import file_sha256

DEFAULTS_FILE = "ursa_ray.json"

PARTS = ("transformer", "vae", "scheduler", "tokenizer")


@dataclass(frozen=True)
class Defaults:
    """What a storyboard or a call may leave out. Sizes in pixels; None where the model does not say."""

    width: int | None = None
    height: int | None = None
    fps: Fraction = Fraction(12)
    frames: int = 49
    overlap: int = 13
    steps: int = 50
    guidance: float = 7.0
    max_prompt_length: int = 320
    trained_sizes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A model as far as planning goes.

    Attributes:
        name: finds the model from anywhere: `tiny`, an absolute folder, or a hub id.
        folder: None for a released model that is not on this machine; its name then stands for its weights.
    """

    name: str
    folder: Path | None
    transformer: TransformerConfig
    tokenizer: TokenizerConfig
    path: PathConfig
    defaults: Defaults

    @property
    def makes_video(self) -> bool:
        return isinstance(self.tokenizer, VideoTokenizerConfig)

    def codes_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int]:
        """(t, h, w) of the codes of so many frames of so many pixels."""
        stride = self.tokenizer.spatial_stride
        return (num_frames - 1) // self.tokenizer.temporal_stride + 1, height // stride, width // stride

    def weights_sha256(self) -> str:
        """Hash of everything that decides what the model computes; of its name if it is not on this machine."""
        digest = hashlib.sha256()
        if self.folder is None:
            digest.update(self.name.encode())
        else:
            for part in PARTS:
                for path in sorted((self.folder / part).rglob("*")):
                    if path.is_file() and path.suffix in {".safetensors", ".bin", ".pth", ".json", ".txt"}:
                        digest.update(f"{path.relative_to(self.folder).as_posix()} {_sha256(path)}\n".encode())
        return digest.hexdigest()


def open_checkpoint(name: str, base: Path | None = None, fetch: bool = False) -> Checkpoint:
    """Open `tiny`, a folder (relative to `base`) or a hub id such as `BAAI/URSA-1.7B-FSQ320[@revision]`.

    With `fetch` a hub model that is not in the local cache is downloaded; without, a released one is described from
    what the package knows of it.

    Raises:
        CheckpointError: the model is nowhere, is not URSA, or its files are damaged.
    """
    folder = local_folder(name, base)
    if folder is not None:
        return _read_folder(name if name == "tiny" else str(folder.resolve()), folder)
    folder = hub_folder(name, fetch)
    if folder is None:
        released = RELEASED.get(name.partition("@")[0])
        if released is None:
            raise CheckpointError(
                f"model {name!r} is not on this machine. Fetch it first: hf download {name.partition('@')[0]}"
            )
        defaults = _defaults(released.defaults, released.tokenizer, f"the built-in defaults of {name}")
        return Checkpoint(name, None, released.transformer, released.tokenizer, released.path, defaults)
    return _read_folder(name, folder)


def _read_folder(name: str, folder: Path) -> Checkpoint:
    if not (folder / "model_index.json").exists():
        raise CheckpointError(
            f"{folder}: is no model: it has no model_index.json. "
            "Expected tiny, the folder of an URSA checkpoint, or an id such as BAAI/URSA-1.7B-FSQ320."
        )
    class_name = read_json(folder / "model_index.json").get("_class_name")
    if class_name != "URSAPipeline":
        raise CheckpointError(
            f"{folder / 'model_index.json'}: _class_name is {class_name!r}, expected 'URSAPipeline'. "
            "Is this an URSA checkpoint?"
        )
    files = {part: folder / part / "config.json" for part in ("transformer", "vae")}
    transformer = TransformerConfig.from_json(read_json(files["transformer"]), str(files["transformer"]))
    tokenizer = tokenizer_config(read_json(files["vae"]), str(files["vae"]))
    scheduler = folder / "scheduler" / "scheduler_config.json"
    path = PathConfig.from_json(read_json(scheduler), str(scheduler))
    if path.alpha is not None and path.c is None:
        raise CheckpointError(f"{scheduler}: alpha is given without c. The metric path needs both.")
    return Checkpoint(name, folder, transformer, tokenizer, path, _folder_defaults(name, folder, tokenizer))


def _folder_defaults(name: str, folder: Path, tokenizer: TokenizerConfig) -> Defaults:
    file = folder / DEFAULTS_FILE
    if file.exists():
        return _defaults(read_json(file), tokenizer, str(file))
    # A released model that was downloaded into a plain folder keeps its name there.
    known: Released | None = RELEASED.get(name.partition("@")[0]) or RELEASED.get(f"BAAI/{folder.name}")
    return _defaults(known.defaults if known else {}, tokenizer, f"the defaults of {name}")


def default_overlap(frames: int, stride: int) -> int:
    """About a quarter of a window, 1 more than whole strides: 13 of 49 as published, 5 of 17."""
    return 1 + stride * round((frames - 1) / (4 * stride))


def _defaults(raw: dict[str, Any], tokenizer: TokenizerConfig, where: str) -> Defaults:
    unknown = raw.keys() - Defaults.__dataclass_fields__.keys()
    if unknown:
        known = ", ".join(Defaults.__dataclass_fields__)
        raise CheckpointError(f"{where}: unknown key {sorted(unknown)[0]!r}. Known: {known}.")
    frames = tokenizer.sample_frames if isinstance(tokenizer, VideoTokenizerConfig) else 1
    stride = tokenizer.temporal_stride
    values: dict[str, Any] = {"frames": frames, "overlap": default_overlap(frames, stride)} | raw
    try:
        values["fps"] = Fraction(values.get("fps", 12))
        values["trained_sizes"] = tuple((int(w), int(h)) for w, h in values.get("trained_sizes", ()))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{where}: {error}. Expected fps such as 12 and trained_sizes such as [[512, 320]]."
        ) from None
    for key in ("width", "height", "frames", "overlap", "steps", "max_prompt_length"):
        value = values.get(key, 1)
        unknown_size = value is None and key in ("width", "height")
        if not unknown_size and (type(value) is not int or value < 1):
            raise CheckpointError(f"{where}: {key} is {value!r}, expected a positive whole number.")
    guidance = values.get("guidance", 1.0)
    if not isinstance(guidance, int | float) or isinstance(guidance, bool) or not guidance >= 0:
        raise CheckpointError(f"{where}: guidance is {guidance!r}, expected a number of 0 or more.")
    if values["fps"] <= 0:
        raise CheckpointError(f"{where}: fps is {values['fps']}, expected more than 0.")
    return Defaults(**values)


def _sha256(path: Path) -> str:
    blob = path.resolve().name
    if path.is_symlink() and len(blob) == 64:
        return blob  # The hub's cache names large files by their sha256; reading 4 GB would take seconds.
    return file_sha256(path)
