"""From a request to its features: the text, the clock, the device, and what the app knows."""

from edge_autoglm.learn.context.app import ContextValue
from edge_autoglm.learn.context.featurise import featurise

__all__ = ["ContextValue", "featurise"]
