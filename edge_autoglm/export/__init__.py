"""From a checkpoint to a bundle."""

from edge_autoglm.export.pipeline import export_model

__all__ = ["export_model"]
