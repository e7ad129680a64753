"""A storyboard from its file, or one StoryboardError that tells every problem with its line.

When there is a version 2, a mapping of version 1 is upgraded here, before it is validated.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from ursa_ray.errors import StoryboardError
from ursa_ray.storyboard.messages import Problem, explain, in_lines, misread
from ursa_ray.storyboard.schema import Storyboard
from ursa_ray.storyboard.source import Source
from ursa_ray.storyboard.yaml_source import read_yaml

MAX_STORYBOARD_BYTES = 256 * 1024
MAX_ASSET_BYTES = {"image": 50 * 10**6, "video": 2 * 10**9}
VERSIONS = (1,)


def load_storyboard(path: Path, with_assets: bool = True) -> Storyboard:
    """The storyboard in the YAML file `path`, whose images and clips are files in the folder of `path`.

    Whether these are there is a matter of `with_assets`.
    """
    data, source = read_yaml(read_text(path), str(path), path.parent)
    _check_version(data, source)
    try:
        storyboard = Storyboard.model_validate(data, context=source)
    except ValidationError as error:
        raise StoryboardError(in_lines([*explain(error, source), *misread(source)], source)) from None
    if problems := [*misread(source), *(_asset_problems(storyboard, source) if with_assets else ())]:
        raise StoryboardError(in_lines(problems, source))
    return storyboard


def read_text(path: Path) -> str:
    """The text of a file that may hold a storyboard.

    Raises:
        StoryboardError: it cannot: it is not there, not regular, too large, or not UTF-8.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise StoryboardError(f"{path}: is {kind}, expected a storyboard file")
        with path.open("rb") as file:
            data = file.read(MAX_STORYBOARD_BYTES + 1)
    except FileNotFoundError:
        raise StoryboardError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoryboardError(f"{path}: cannot be read: {reason}") from None
    if len(data) > MAX_STORYBOARD_BYTES:
        raise StoryboardError(f"{path}: is too large for a storyboard, expected at most 256 KB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StoryboardError(f"{path}:{line}: is not UTF-8 text; save it as UTF-8") from None


def _check_version(data: object, source: Source) -> None:
    if data is None:
        raise StoryboardError(f"{source.file}: is empty, expected a mapping with version, model and shots")
    if not isinstance(data, dict):
        where = f"{source.file}:{source.line(())}"
        raise StoryboardError(f"{where}: expected a mapping with version, model and shots at the top")
    version = data.get("version", VERSIONS[-1])  # one left out is told among the other problems
    if type(version) is not int or version not in VERSIONS:
        expected = f"expected a version that this ursa-ray reads: {', '.join(map(str, VERSIONS))}"
        path = ("version",)
        raise StoryboardError(in_lines([Problem(path, f"{source.that_is(path)}, {expected}")], source))


def _asset_problems(storyboard: Storyboard, source: Source) -> Iterator[Problem]:
    for i, shot in enumerate(storyboard.shots):
        if (asset := storyboard.asset_path(shot)) is not None:
            path = ("shots", i, "image" if shot.image is not None else "video")
            if (trouble := _trouble(asset, storyboard.folder, MAX_ASSET_BYTES[path[-1]])) is not None:
                yield Problem(path, f"{source.that_is(path)}, but {trouble}")


def _trouble(asset: Path, folder: Path, max_bytes: int) -> str | None:
    try:
        target = asset.resolve()
        if not target.is_relative_to(folder.resolve()):
            return f"{asset} is outside the storyboard's folder; move it inside"
        status = target.stat()
    except FileNotFoundError:
        return f"there is no file {asset}"
    except (OSError, RuntimeError) as error:  # resolve() raises RuntimeError for a loop of links
        return f"{asset} cannot be read: {getattr(error, 'strerror', None) or 'its links form a loop'}"
    if not stat.S_ISREG(status.st_mode):
        return f"{asset} is not a regular file"
    if status.st_size > max_bytes:
        return f"{asset} has {status.st_size:,} bytes, expected at most {max_bytes:,}"
    return None
