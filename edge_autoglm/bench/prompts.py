"""Prompts of a given length, every one different, from the text that ships with the package."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from importlib.resources import files

import tokenizers

from edge_autoglm import Bundle
from edge_autoglm.errors import RequestError

TokenEnds = Callable[[str], list[int]]
"""For a text, the position behind the last character of each of its tokens."""

_CHARACTERS_A_TOKEN = 8
"""More than any tokenizer of a language model needs for English; a guess, which is doubled where it is too low."""
_LATER_CUTS = 4
"""A cut behind token N may give other tokens, if the last word is then split otherwise: later cuts are tried."""


def bench_prompts(bundle: Bundle, tokens: int, count: int, seed: int) -> list[str]:
    """Texts that the bundle's tokenizer makes ``tokens`` tokens of, BOS included.

    Each begins at another word of the text, in an order that depends on the seed only, so that no two have more than a
    few first words in common: what a cache kept of one is of no use to another.

    Raises:
        RequestError: The text has fewer different prompts than that.
    """
    ends = _token_ends(bundle)
    bos = int(bundle.manifest.model.add_bos)
    found: list[str] = []
    for text in _rotations(_heldout(), seed):
        prompt = exact_cut(text, tokens - bos, ends)
        if prompt is not None:
            found.append(prompt)
        if len(found) == count:
            return found
    raise RequestError(
        f"the shipped text gives {len(found)} different prompts of {tokens} tokens, {count} are needed",
        "Ask for fewer repetitions, fewer requests at once or other prompts.",
    )


def exact_cut(text: Callable[[int], str], tokens: int, ends: TokenEnds) -> str | None:
    """The beginning of a text that has exactly so many tokens; ``None`` if no cut nearby gives that.

    Args:
        text: Its first n characters, for any n.
        tokens: How many.
        ends: Of the tokens of a text.
    """
    if tokens < 1:
        return None
    size = _CHARACTERS_A_TOKEN * (tokens + _LATER_CUTS)
    while len(cuts := ends(text(size))) < tokens + _LATER_CUTS:
        size *= 2
    for cut in cuts[tokens - 1 : tokens + _LATER_CUTS]:
        prompt = text(cut)
        if len(ends(prompt)) == tokens:
            return prompt
    return None


def _rotations(text: str, seed: int) -> Iterator[Callable[[int], str]]:
    """The text beginning at each of its words, in random order; it starts again at its end, for any length."""
    starts = [word.start() for word in re.finditer(r"\S+", text)]
    random.Random(seed).shuffle(starts)

    def beginning(start: int) -> Callable[[int], str]:
        return lambda size: (text * ((start + size) // len(text) + 1))[start : start + size]

    return map(beginning, starts)


def _heldout() -> str:
    return files("edge_autoglm.data").joinpath("heldout.txt").read_text(encoding="utf-8").rstrip() + "\n\n"


def _token_ends(bundle: Bundle) -> TokenEnds:
    tokenizer = tokenizers.Tokenizer.from_file(str(bundle.tokenizer_path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]
