"""From samples to a checked plan: everything that can be found wrong before anything is written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import ValidationError

from ursa_ray.checkpoint import Checkpoint, TextTokenizer, open_checkpoint
from ursa_ray.checkpoint.released import RELEASED
from ursa_ray.errors import AssetError, CheckpointError, OptionError, StoryboardError
from ursa_ray.media import asset_sha256
from ursa_ray.plan import Plan
from ursa_ray.prepare import prepare_with
from ursa_ray.sampling.names import file_name, shot_name
from ursa_ray.sampling.samples import MAX_SAMPLES, Sample, Settings
from ursa_ray.storyboard import Storyboard
from ursa_ray.storyboard.messages import explain, in_lines
from ursa_ray.storyboard.source import KeyPath, Place, Source, dotted

# What parts of the storyboard are called by those who never see one; of its shots, and of all else.
SHOT_OPTIONS = {
    "duration": "--duration",
    "frames": "--extend",
    "image": "--image",
    "video": "--video",
    "seed": "--seed",
}
OPTIONS = {
    "model": "--model",
    "video": "--size",
    "motion": "--motion",
    "steps": "--steps",
    "guidance": "--guidance",
    "negative_prompt": "--negative-prompt",
    "crf": "--crf",
}


@dataclass(frozen=True)
class Planned:
    """Samples as shots.

    Attributes:
        shots: the shot of each sample, in their order; samples that ask for the same share one.
        paths: where the file of each sample goes, in their order.
        num_cut: prompts of which the model reads the beginning alone.
    """

    samples: tuple[Sample, ...]
    checkpoint: Checkpoint
    plan: Plan
    shots: tuple[str, ...]
    paths: tuple[str, ...]
    warnings: tuple[str, ...]
    num_cut: int = 0


@dataclass(frozen=True)
class PromptSource(Source):
    """A storyboard that nobody wrote: each prompt comes from somewhere, all else are options."""

    file: str = field(default="prompts", compare=False)
    prompts: tuple[str, ...] = field(default=(), compare=False)

    def where(self, path: KeyPath) -> str:
        known, parts = (SHOT_OPTIONS, path[2:]) if path[:1] == ("shots",) else (OPTIONS, path)
        option = next((known[part] for part in parts if part in known), None)
        if option is not None:
            return option
        return self.prompts[self.line(path) - 1]

    def where_in(self, path: KeyPath, shot: str) -> str:
        return self.where(path)

    def name(self, path: KeyPath) -> str:
        """Without what nobody wrote around it: `prompt`, `height`."""
        return dotted(path[-1:])


def plan_samples(
    samples: Sequence[Sample], settings: Settings, fetch: bool = False, cuts_prompts: bool = False
) -> Planned:
    """Plan samples; with `fetch` a model is downloaded if need be, `cuts_prompts` is as of `plan_storyboard`.

    Raises:
        OptionError: there are none or too many, or two of them would be one file.
        StoryboardError, AssetError, CheckpointError: as of a storyboard, with where the prompt is from or the option.
    """
    if not 1 <= len(samples) <= MAX_SAMPLES:
        raise OptionError(f"{len(samples):,} samples are asked for, expected 1 to {MAX_SAMPLES:,} in one run.")
    if fetch and settings.model.partition("@")[0] in RELEASED:
        plan_samples(
            samples, settings, cuts_prompts=cuts_prompts
        )  # most mistakes are found before gigabytes are fetched
    try:
        checkpoint = open_checkpoint(settings.model, fetch=fetch)
    except CheckpointError as error:
        raise CheckpointError(f"--model: {error}") from error
    hashes = _hashes(samples)
    shots = tuple(shot_name(sample, hashes.get(sample.condition)) for sample in samples)
    paths = tuple(s.path or f"{file_name(s, hashes.get(s.condition), settings)}{settings.suffix}" for s in samples)
    _check_paths(paths, shots, settings.suffix)
    first: dict[str, Sample] = {}
    for shot, sample in zip(shots, samples, strict=True):
        first.setdefault(shot, sample)
    storyboard = _storyboard(first, settings, checkpoint)
    assets = {shot: hashes[sample.condition] for shot, sample in first.items() if sample.condition is not None}
    prepared = prepare_with(storyboard, checkpoint, assets, cuts_prompts)
    num_cut, warnings = (
        _num_cut(prepared.plan, checkpoint) if cuts_prompts else 0,
        list(dict.fromkeys(prepared.warnings)),
    )
    if num_cut:
        limit = checkpoint.defaults.max_prompt_length
        warnings.append(f"{num_cut} prompts have more than {limit} tokens; the model reads their beginning.")
    return Planned(tuple(samples), checkpoint, prepared.plan, shots, paths, tuple(warnings), num_cut)


def _num_cut(plan: Plan, checkpoint: Checkpoint) -> int:
    if checkpoint.folder is None:
        return 0
    text, limit = TextTokenizer.from_folder(checkpoint.folder / "tokenizer"), checkpoint.defaults.max_prompt_length
    return sum(text.count(prompt) > limit for prompt in {segment.prompt for segment in plan.segments})


def _hashes(samples: Sequence[Sample]) -> dict[Path | None, str]:
    """Of each image and clip, once: many samples may start from one."""
    images = {sample.image for sample in samples}
    paths = {sample.condition for sample in samples} - {None}
    return {path: _sha256(path, "image" if path in images else "clip") for path in paths if path is not None}


def _sha256(path: Path, kind: Literal["image", "clip"]) -> str:
    try:
        return asset_sha256(path, kind)
    except AssetError as error:
        raise AssetError(f"{SHOT_OPTIONS['image' if kind == 'image' else 'video']}: {error}") from error


def _check_paths(paths: Sequence[str], shots: Sequence[str], suffix: str) -> None:
    """Each file has a place of its own below where results go."""
    taken: dict[PurePosixPath, str] = {}
    for name, shot in zip(paths, shots, strict=True):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or path.suffix != suffix or "\0" in name:
            raise OptionError(f"path {name!r} of a sample: expected a relative path that ends in {suffix}.")
        if taken.setdefault(path, shot) != shot:
            raise OptionError(f"path {name!r} is given to two samples, expected another for each.")


def _storyboard(samples: Mapping[str, Sample], settings: Settings, checkpoint: Checkpoint) -> Storyboard:
    raw: dict[str, Any] = {
        "version": 1,
        "model": settings.model,
        "defaults": _given(settings, "motion", "steps", "guidance", "negative_prompt"),
        "output": _given(settings, "crf"),
        "shots": tuple(_shot(name, sample, settings, checkpoint) for name, sample in samples.items()),
    }
    if settings.size is not None:
        raw["video"] = dict(zip(("width", "height"), settings.size, strict=True))
    if settings.kind == "image":
        raw["segment"] = {"frames": 1}
    prompts = tuple(sample.where or f"prompt {number}" for number, sample in enumerate(samples.values(), 1))
    source = PromptSource(places=dict(_places(raw)), prompts=prompts)
    try:
        return Storyboard.model_validate(raw, context=source)
    except ValidationError as error:
        raise StoryboardError(in_lines(explain(error, source), source)) from None


def _shot(name: str, sample: Sample, settings: Settings, checkpoint: Checkpoint) -> dict[str, Any]:
    starts = {"image": sample.image, "video": sample.video}
    if settings.duration is None:
        length = {"frames": settings.num_frames(checkpoint, is_extended=sample.video is not None)}
    else:
        length = {"duration": settings.duration}
    return {
        "id": name,
        "prompt": sample.prompt,
        "seed": sample.seed,
        **length,
        **{key: relpath(path) for key, path in starts.items() if path is not None},
    }


def _given(settings: Settings, *names: str) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in names if getattr(settings, name) is not None}


def _places(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Place]]:
    """Where each value comes from: as its line the number of its shot, from 1."""
    line = int(path[1]) + 1 if path[:1] == ("shots",) and len(path) > 1 else 1
    match value:
        case dict():
            below = value.items()
        case tuple():
            below = enumerate(value)
        case _:
            below = ()
    yield path, Place(line, None if below else str(value), value)
    for key, each in below:
        yield from _places(each, (*path, key))
