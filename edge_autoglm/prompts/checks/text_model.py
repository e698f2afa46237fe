"""The side of a model that turns texts into tokens: what checks need of a bundle, without its engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_autoglm.prompts.render import ChatRenderer

Encode = Callable[[str], list[int]]

_BOS = -1
"""Stands for a token whose id does not matter here."""

_LEAST_PREFIX = 2
"""Tokens of the shortest prefix that is kept resident."""


@dataclass(frozen=True, slots=True)
class TextModel:
    """Functions of a model's tokenizer and chat template.

    Attributes:
        encode: Token ids of a text.
        stable_tokens: Those that stay the same whatever follows the text.
        shield: Makes special tokens in an input harmless.
        chat: The chat template; ``None`` for a base model.
        bos: Whether a token stands in front of every prompt.
        kv_bytes_per_token: That the engine holds.
        soft_prompt: Virtual tokens of a soft prompt by its name; raises an error of ours where the bundle has it not.
    """

    encode: Encode
    stable_tokens: Encode
    shield: Callable[[str], str]
    chat: ChatRenderer | None
    bos: bool
    kv_bytes_per_token: int
    soft_prompt: Callable[[str], tuple[int, ...]]

    def prompt_length(self, prompt: str, soft_prompt: str | None = None) -> int:
        """Tokens of a whole prompt."""
        return len(self._virtual(soft_prompt)) + self.bos + len(self.encode(prompt))

    def prefix_tokens(self, static: str, soft_prompt: str | None = None) -> tuple[int, ...]:
        """What is kept resident of a prompt's static part."""
        own = (*([_BOS] if self.bos else []), *self.stable_tokens(static))
        return (*self._virtual(soft_prompt), *(own if len(own) >= _LEAST_PREFIX else ()))

    def _virtual(self, soft_prompt: str | None) -> tuple[int, ...]:
        return () if soft_prompt is None else self.soft_prompt(soft_prompt)

    def label_tokens(self, prompt: str, label: str) -> list[int]:
        """Tokens of a label as they stand behind the prompt; as ``LanguageModel.label_tokens`` gives them."""
        before, whole = self.encode(prompt), self.encode(prompt + label)
        if len(whole) > len(before) and whole[: len(before)] == before:
            return whole[len(before) :]
        return self.encode(label)
