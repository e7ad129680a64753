"""Trains an URSA: the drawn world, its tokens, the video tokenizer and the transformer."""
