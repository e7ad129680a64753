"""From a model's name to its folder: the built-in one, a folder of the user's, or the Hugging Face cache."""

import re
from pathlib import Path

from ursa_ray.errors import CheckpointError

# The built-in model, and where it is.
TINY_NAME = "tiny"
TINY = Path(__file__).parent / TINY_NAME

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")

# No Python files: the published folders carry some, and we run nothing that comes with weights.
PATTERNS = ["*.json", "*.txt", "*.safetensors", "*.bin", "*.pth"]


def local_folder(name: str, base: Path | None) -> Path | None:
    """Folder of a model on this machine; None if `name` is a hub id.

    Raises:
        CheckpointError: no such folder, and not a hub id either; or a folder that cannot be looked for.
    """
    if name == TINY_NAME:
        return TINY
    try:
        folder = (base or Path()) / Path(name).expanduser()
        if folder.is_dir():
            return folder
    except (RuntimeError, OSError) as error:  # of the home of nobody; of a name that is too long
        why = error.strerror if isinstance(error, OSError) else error
        raise CheckpointError(
            f"model {name[:60]!r}: no folder can be looked for there ({why}). "
            "Expected tiny, a folder, or an id such as BAAI/URSA-1.7B-FSQ320."
        ) from error
    if HUB_ID.fullmatch(name) is None or name.startswith("."):
        raise CheckpointError(
            f"model {name!r}: there is no folder {folder}, and it is not a hub id. "
            "Expected tiny, a folder, or an id such as BAAI/URSA-1.7B-FSQ320."
        )
    return None


def hub_folder(name: str, fetch: bool) -> Path | None:
    """Folder of a hub id in the cache; None if it is not there and `fetch` is off.

    Raises:
        CheckpointError: the hub refuses or cannot be reached.
    """
    from huggingface_hub import snapshot_download  # 0.3 s: not before it is needed
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repo, _, revision = name.partition("@")
    try:
        # With the patterns: without them the hub calls a snapshot incomplete that lacks what we never fetch.
        folder = Path(
            snapshot_download(repo, revision=revision or None, allow_patterns=PATTERNS, local_files_only=True)
        )
    except LocalEntryNotFoundError:
        folder = None
    except HFValidationError as error:
        raise CheckpointError(f"model {name!r} is neither a folder nor a hub id: {error}") from error
    # An interrupted download leaves a folder with some of the files.
    if folder is not None and not _missing_files(folder):
        return folder
    if not fetch:
        return None
    command = f"hf download {repo}" + (f" --revision {revision}" if revision else "")
    try:
        folder = Path(snapshot_download(repo, revision=revision or None, allow_patterns=PATTERNS))
    except GatedRepoError as error:
        raise CheckpointError(
            f"model {name!r} is gated. Accept its terms at https://huggingface.co/{repo}, "
            f"then: hf auth login && {command}"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"model {repo!r} has no revision {revision!r} on the hub.") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"model {name!r} is neither a folder nor on the hub. Check the spelling; if it is private: hf auth login"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise CheckpointError(
            f"model {name!r} is not on this machine and the hub cannot be reached. "
            f"Where there is internet access: {command}"
        ) from error
    except Exception as error:  # lost connections come as errors of the library's HTTP client, which it has changed
        raise CheckpointError(
            f"model {name!r} could not be fetched ({error}). What has arrived is kept; go on with: {command}"
        ) from error
    missing = _missing_files(folder)
    if missing:
        raise CheckpointError(
            f"{folder}: has no {', no '.join(missing)}. Either {repo} is not an URSA checkpoint, "
            f"or its download was interrupted; where there is internet access: {command}"
        )
    return folder


def _missing_files(folder: Path) -> list[str]:
    """What a checkpoint lacks, as far as names tell."""
    configs = ("model_index.json", "transformer/config.json", "vae/config.json", "scheduler/scheduler_config.json")
    missing = [name for name in configs if not (folder / name).is_file()]
    missing += [f"{part} weights" for part in ("transformer", "vae", "scheduler") if not _has_weights(folder / part)]
    return missing if any(folder.glob("tokenizer/*")) else [*missing, "tokenizer"]


def _has_weights(folder: Path) -> bool:
    return any(path.suffix in {".safetensors", ".bin", ".pth"} for path in folder.glob("*"))
