"""From text to tokens to text: engines, tokenizers, resident prefixes, decoding and scoring."""

from edge_autoglm.runtime.engine import Chunk, Engine, EngineFacts, KVSegment, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine

__all__ = ["Chunk", "Engine", "EngineFacts", "KVSegment", "Logits", "ScriptedEngine"]
