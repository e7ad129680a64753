"""The text vocabulary of a small model: one token for every word it was trained on, bytes for all others.

Any prompt has tokens, so that a user's words never fail; those that were not trained on mean nothing to the model.
Case and spaces are dropped. The first two tokens are the published padding and begin-of-visual.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

SPECIAL = ("<|endoftext|>", "<|vision_start|>", "<|vision_end|>")
PAD, BEGIN_OF_VISUAL = SPECIAL[:2]
PAD_ID = 0


def word_tokenizer(words: Iterable[str]) -> Tokenizer:
    """Tokens for `words`, in lower case without spaces, and for single digits, punctuation marks and bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*SPECIAL, *alphabet, *sorted(set(words) - set(alphabet))]
    # A word that is a token is taken whole; without merges every other one falls into bytes.
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+"), "removed"),
            pre_tokenizers.Split(Regex(r"[^\W\d_]+|."), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
