"""Embeddable runtime for small language models: export, answer, learn which prompt works, swap it in live.

    from edge_autoglm import Runtime, export_model

Names are loaded on first use, so that ``import edge_autoglm`` costs nothing that the app does not need. The error tree
is in `edge_autoglm.errors`, the value types are in `edge_autoglm.values`.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# ONNX Runtime reads this when it is imported; a device app must not report home, whatever its environment says.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from edge_autoglm.bundle.bundle import Bundle
    from edge_autoglm.constraints import Choice, JsonSchema, Regex
    from edge_autoglm.errors import EdgeAutoGLMError
    from edge_autoglm.evolve.optimizer import Evolved, PromptOptimizer
    from edge_autoglm.evolve.settings import EvolveSettings
    from edge_autoglm.export.pipeline import export_model
    from edge_autoglm.facade.config import RuntimeConfig
    from edge_autoglm.facade.memory.conversation import Conversation
    from edge_autoglm.facade.runtime import Runtime
    from edge_autoglm.facade.sampling import Samples
    from edge_autoglm.facade.stats import RuntimeStats
    from edge_autoglm.facade.tools.limits import ToolLimits
    from edge_autoglm.facade.tools.outcome import ToolCall, ToolReply
    from edge_autoglm.facade.tools.tool import Tool
    from edge_autoglm.knowledge.embedding import Embedder
    from edge_autoglm.knowledge.examples import Example
    from edge_autoglm.learn.experiments.experiment import Experiment
    from edge_autoglm.learn.policies import make_policy
    from edge_autoglm.learn.policy import VariantPolicy
    from edge_autoglm.learn.rewards.price import RewardPrice
    from edge_autoglm.learn.rewards.signals import Accepted, Edited, Preferred, Retried, Stars, Thumbs
    from edge_autoglm.learn.routing.router import Route
    from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
    from edge_autoglm.sampling_params import AdaptiveTemperature, SamplingParams
    from edge_autoglm.swap.health import HealthPolicy
    from edge_autoglm.swap.outcome import Cancelled, DrainTimedOut, Rejected, RolledBack, SwapOutcome, Swapped
    from edge_autoglm.swap.policy import CanaryPolicy, DrainPolicy, ShadowPolicy, SwapPolicy, TripwirePolicy
    from edge_autoglm.swap.ticket import SwapTicket
    from edge_autoglm.values import (
        Completion,
        Decision,
        Explanation,
        FeedbackOutcome,
        Message,
        Priority,
        Progress,
        Reply,
        Timings,
        TokenLogprob,
        Usage,
    )

__version__ = "0.1.0"

__all__ = [
    "Accepted",
    "AdaptiveTemperature",
    "Bundle",
    "CanaryPolicy",
    "Cancelled",
    "Choice",
    "Completion",
    "Conversation",
    "Decision",
    "DrainPolicy",
    "DrainTimedOut",
    "EdgeAutoGLMError",
    "Edited",
    "Embedder",
    "EvolveSettings",
    "Evolved",
    "Example",
    "Experiment",
    "Explanation",
    "FeedbackOutcome",
    "HealthPolicy",
    "JsonSchema",
    "Message",
    "Preferred",
    "Priority",
    "Progress",
    "PromptOptimizer",
    "Regex",
    "Rejected",
    "Reply",
    "Retried",
    "RewardPrice",
    "RolledBack",
    "Route",
    "Runtime",
    "RuntimeConfig",
    "RuntimeStats",
    "Samples",
    "SamplingParams",
    "ScriptedEngine",
    "ShadowPolicy",
    "Stars",
    "SwapOutcome",
    "SwapPolicy",
    "SwapTicket",
    "Swapped",
    "Thumbs",
    "Timings",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolLimits",
    "ToolReply",
    "TripwirePolicy",
    "Usage",
    "VariantPolicy",
    "__version__",
    "export_model",
    "make_policy",
]

_HOME = {
    "Accepted": "edge_autoglm.learn.rewards.signals",
    "AdaptiveTemperature": "edge_autoglm.sampling_params",
    "Bundle": "edge_autoglm.bundle.bundle",
    "CanaryPolicy": "edge_autoglm.swap.policy",
    "Cancelled": "edge_autoglm.swap.outcome",
    "Choice": "edge_autoglm.constraints",
    "Completion": "edge_autoglm.values",
    "Conversation": "edge_autoglm.facade.memory.conversation",
    "Decision": "edge_autoglm.values",
    "DrainPolicy": "edge_autoglm.swap.policy",
    "DrainTimedOut": "edge_autoglm.swap.outcome",
    "EdgeAutoGLMError": "edge_autoglm.errors",
    "Edited": "edge_autoglm.learn.rewards.signals",
    "Embedder": "edge_autoglm.knowledge.embedding",
    "EvolveSettings": "edge_autoglm.evolve.settings",
    "Evolved": "edge_autoglm.evolve.optimizer",
    "Example": "edge_autoglm.knowledge.examples",
    "Experiment": "edge_autoglm.learn.experiments.experiment",
    "Explanation": "edge_autoglm.values",
    "FeedbackOutcome": "edge_autoglm.values",
    "HealthPolicy": "edge_autoglm.swap.health",
    "JsonSchema": "edge_autoglm.constraints",
    "Message": "edge_autoglm.values",
    "Preferred": "edge_autoglm.learn.rewards.signals",
    "Priority": "edge_autoglm.values",
    "Progress": "edge_autoglm.values",
    "PromptOptimizer": "edge_autoglm.evolve.optimizer",
    "Regex": "edge_autoglm.constraints",
    "Rejected": "edge_autoglm.swap.outcome",
    "Reply": "edge_autoglm.values",
    "Retried": "edge_autoglm.learn.rewards.signals",
    "RewardPrice": "edge_autoglm.learn.rewards.price",
    "RolledBack": "edge_autoglm.swap.outcome",
    "Route": "edge_autoglm.learn.routing.router",
    "Runtime": "edge_autoglm.facade.runtime",
    "RuntimeConfig": "edge_autoglm.facade.config",
    "RuntimeStats": "edge_autoglm.facade.stats",
    "Samples": "edge_autoglm.facade.sampling",
    "SamplingParams": "edge_autoglm.sampling_params",
    "ScriptedEngine": "edge_autoglm.runtime.engines.scripted_engine",
    "ShadowPolicy": "edge_autoglm.swap.policy",
    "Stars": "edge_autoglm.learn.rewards.signals",
    "SwapOutcome": "edge_autoglm.swap.outcome",
    "SwapPolicy": "edge_autoglm.swap.policy",
    "SwapTicket": "edge_autoglm.swap.ticket",
    "Swapped": "edge_autoglm.swap.outcome",
    "Thumbs": "edge_autoglm.learn.rewards.signals",
    "Timings": "edge_autoglm.values",
    "TokenLogprob": "edge_autoglm.values",
    "Tool": "edge_autoglm.facade.tools.tool",
    "ToolCall": "edge_autoglm.facade.tools.outcome",
    "ToolLimits": "edge_autoglm.facade.tools.limits",
    "ToolReply": "edge_autoglm.facade.tools.outcome",
    "TripwirePolicy": "edge_autoglm.swap.policy",
    "Usage": "edge_autoglm.values",
    "VariantPolicy": "edge_autoglm.learn.policy",
    "export_model": "edge_autoglm.export.pipeline",
    "make_policy": "edge_autoglm.learn.policies",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
