"""Prompts as token ids, padded on the left: URSA has no attention mask, so padding is part of what it sees."""

from pathlib import Path
from typing import Self

from tokenizers import Tokenizer

from ursa_ray.checkpoint.config import read_json
from ursa_ray.errors import CheckpointError


class TextTokenizer:
    def __init__(self, tokenizer: Tokenizer, pad_id: int):
        self._tokenizer, self._pad_id = tokenizer, pad_id

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read the `tokenizer` folder of a checkpoint.

        Raises:
            CheckpointError: files are missing or damaged.
        """
        file = folder / "tokenizer.json"
        tokenizer = cls._read(file) if file.exists() else cls._convert(folder)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(tokenizer, cls._find_pad_id(folder, tokenizer))

    def count(self, prompt: str) -> int:
        return len(self._tokenizer.encode(prompt).ids)

    def encode(self, prompt: str, length: int) -> list[int]:
        """Exactly `length` ids: cut on the right, padded on the left."""
        ids = self._tokenizer.encode(prompt).ids[:length]
        return [self._pad_id] * (length - len(ids)) + ids

    @staticmethod
    def _read(file: Path) -> Tokenizer:
        try:
            return Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises nothing more precise
            raise CheckpointError(f"{file}: is not a tokenizer ({error}). Fetch the checkpoint again.") from error

    @staticmethod
    def _convert(folder: Path) -> Tokenizer:
        """Checkpoints with vocab.json and merges.txt alone: transformers builds the tokenizer, in seconds."""
        # Without them transformers would go on with an empty vocabulary.
        if not all((folder / name).exists() for name in ("vocab.json", "merges.txt")):
            raise CheckpointError(
                f"{folder}: no tokenizer here. Expected tokenizer.json, or vocab.json and merges.txt. "
                "Fetch the checkpoint again."
            )
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False).backend_tokenizer
        except Exception as error:  # what the library raises depends on what is damaged
            raise CheckpointError(f"{folder}: is not a tokenizer ({error}). Fetch the checkpoint again.") from error

    @staticmethod
    def _find_pad_id(folder: Path, tokenizer: Tokenizer) -> int:
        pad = read_json(folder / "tokenizer_config.json").get("pad_token") or "<|endoftext|>"
        pad = pad["content"] if isinstance(pad, dict) else pad
        pad_id = tokenizer.token_to_id(pad)
        if pad_id is None:
            raise CheckpointError(f"{folder}: the pad token {pad!r} has no id.")
        return pad_id
