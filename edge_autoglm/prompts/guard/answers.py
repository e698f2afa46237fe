"""Whether an answer may be given to the user."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from edge_autoglm.prompts.guard.allowing import disallowed
from edge_autoglm.prompts.guard.reasons import Reason, Refusal
from edge_autoglm.prompts.guard.rules import OutputRules
from edge_autoglm.prompts.text import unusable

NO_CHARACTER = "\ufffd"
"""What bytes decode to that are no UTF-8."""

CountMarkers = Callable[[str], int]
"""How many special tokens of the model a text spells out."""


def judge_answer(text: str, rules: OutputRules, markers: CountMarkers) -> Refusal | None:
    """Why a whole answer is refused; ``None`` if it is not.

    Args:
        text: Without the white space around it.
        rules: Of the task.
        markers: Of the model.
    """
    if not text:
        return Refusal(Reason.EMPTY, "the answer is empty", "Ask again, or look at the variant's stop texts.")
    if NO_CHARACTER in text or unusable(text) is not None:
        return Refusal(Reason.BROKEN, "the answer has characters that are none", "Ask again, or give it more tokens.")
    if markers(text):
        return Refusal(Reason.MARKER, "the answer spells out a special token of the model", "Ask again.")
    problem = None if rules.allow is None else disallowed(text, rules.allow)
    if problem is not None:
        return Refusal(Reason.NOT_ALLOWED, f"the answer {problem}", "Ask again, or constrain the variant's decoding.")
    return judge_part(text, len(text), rules)


def judge_part(window: str, so_far: int, rules: OutputRules) -> Refusal | None:
    """Why an answer that goes on is refused already; ``None`` if it is not.

    Args:
        window: The new end of it, with at least ``window_size`` characters before the last piece.
        so_far: Characters of all that has come.
        rules: Of the task.
    """
    if so_far > rules.max_chars:
        cause = f"the answer has {so_far} characters or more, {rules.max_chars} are allowed"
        return Refusal(Reason.LENGTH, cause, "Lower max_new_tokens, or raise guard.output.max_chars in the task file.")
    folded = _folded(window) if rules.forbid else ""
    for forbidden in rules.forbid:
        if _folded(forbidden) in folded:
            cause = f"the answer has {forbidden[:40]!r} in it, which is forbidden"
            return Refusal(Reason.FORBIDDEN, cause, "Ask again.")
    return None


def window_size(rules: OutputRules) -> int:
    """Characters before a new piece that can be the beginning of a forbidden text; folding may shorten them."""
    return 4 * max(map(len, rules.forbid), default=0)


def _folded(text: str) -> str:
    """Without differences of case and width, which readers do not see as ones."""
    return unicodedata.normalize("NFKC", text).casefold()
