"""Readers of checkpoints: GGUF files, Hugging Face folders, the hub."""

from edge_autoglm.export.sources.open import open_checkpoint

__all__ = ["open_checkpoint"]
