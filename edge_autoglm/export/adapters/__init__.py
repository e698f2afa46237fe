"""PEFT LoRA adapters, merged into a checkpoint's weights as they are read."""

from edge_autoglm.export.adapters.adapter import Adapter, open_adapter
from edge_autoglm.export.adapters.merged import AdaptedCheckpoint

__all__ = ["AdaptedCheckpoint", "Adapter", "open_adapter"]
