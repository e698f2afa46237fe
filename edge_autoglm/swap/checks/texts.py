"""What two models are compared on: token sequences that owe nothing to the wording of a variant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files

from edge_autoglm.errors import PromptError
from edge_autoglm.prompts.task import PLAIN
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.asking import render_request
from edge_autoglm.swap.generation import Generation

_COMMON_TEXTS = ("The weather in the mountains changes quickly, so", "1, 2, 3, 4,", "从前有一座山，山里有")
_PASSAGE_CHARS = 256
_PASSAGES = 48
MAX_TOKENS = 32
"""Of a window: many short texts say more than a few long ones, whose positions are alike."""


def windows(active: Generation, max_probes: int) -> list[list[int]]:
    """Beginnings of texts, at most ``MAX_TOKENS`` each: the bare inputs of the probes in turn with shipped texts.

    The shipped ones make sure that a catalogue with few probes is compared as thoroughly.
    """
    own = [_beginning(active.model, text) for text in _own_texts(active, max_probes)]
    shipped = [_beginning(active.model, text) for text in _shipped_texts()]
    turns = [window for pair in zip(own, shipped, strict=False) for window in pair]
    return [*turns, *own[len(shipped) :], *shipped[len(own) :]]


def _beginning(model: LanguageModel, text: str) -> list[int]:
    bos = [] if model.add_bos_id is None else [model.add_bos_id]
    return [*bos, *model.tokenizer.encode(text)][: min(MAX_TOKENS, model.engine.facts.capacity - 1)]


def _own_texts(active: Generation, max_probes: int) -> list[str]:
    return [*dict.fromkeys(_plain_prompts(active, max_probes)), *_COMMON_TEXTS]


def _plain_prompts(active: Generation, max_probes: int) -> Iterator[str]:
    for task in active.catalogue.tasks:
        for inputs in task.probes[:max_probes]:
            with suppress(PromptError):  # what the active generation cannot read, the candidate need not
                yield render_request(active.model, task, task.variant(PLAIN), inputs)[:_PASSAGE_CHARS]


def _shipped_texts() -> list[str]:
    """Passages of public-domain prose, spread over the whole file, that begin at a word."""
    text = files("edge_autoglm.data").joinpath("heldout.txt").read_text(encoding="utf-8")
    step = (len(text) - 2 * _PASSAGE_CHARS) // _PASSAGES
    begins = (text.index(" ", number * step) + 1 for number in range(_PASSAGES))
    return [text[begin : begin + _PASSAGE_CHARS] for begin in begins]
