"""Local functions that the model may call."""

from edge_autoglm.facade.tools.limits import ToolLimits
from edge_autoglm.facade.tools.outcome import ToolCall, ToolReply, ToolStats
from edge_autoglm.facade.tools.tool import Tool

__all__ = ["Tool", "ToolCall", "ToolLimits", "ToolReply", "ToolStats"]
