"""Structured output: which tokens may come next, so that the answer has the form asked for.

The grammar engine is llguidance (an Earley parser over a lexer of derivatives), an optional package.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_autoglm.constraints import Constraint
from edge_autoglm.errors import EngineError, RequestError
from edge_autoglm.runtime.decoding.grammar_text import grammar_text
from edge_autoglm.runtime.decoding.grammar_tokens import GrammarVocabulary
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher

TokenMask = npt.NDArray[np.bool_]

_KEPT_GRAMMARS = 64
_LONGEST_REASON = 300


class GrammarCompiler:
    """Makes grammars for one model, and keeps the last ones; thread-safe. Nothing is loaded before the first.

    Args:
        tokenizer: Of the model.
        vocab_size: Of the engine's logits.
        eos_token_ids: Tokens that end an answer.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, eos_token_ids: Collection[int]) -> None:
        vocabulary = GrammarVocabulary(tokenizer, vocab_size, eos_token_ids)
        self._compile = functools.lru_cache(_KEPT_GRAMMARS)(functools.partial(_compile, vocabulary))

    def compile(self, constraint: Constraint) -> Grammar:
        """The grammar of a constraint.

        Raises:
            RequestError: The constraint is malformed, no text satisfies it, or it cannot be enforced in full.
            MissingDependency: The extra ``structured`` is not installed.
        """
        return self._compile(constraint)


def _compile(vocabulary: GrammarVocabulary, constraint: Constraint) -> Grammar:
    tokens = vocabulary.load()
    from llguidance import LLMatcher

    start = LLMatcher(tokens, grammar_text(constraint, vocabulary.leading_space), log_level=0)
    _refuse_failed(start)
    start.compute_bitmask()  # only now a grammar without any text is found out
    _refuse_failed(start)
    return Grammar(start, vocabulary.size, vocabulary.eos_token_ids)


class Grammar:
    """A compiled constraint; immutable, to be shared.

    Args:
        start: At the beginning of an answer; never advanced.
        vocab_size: Of the engine's logits.
        eos_token_ids: Tokens that end an answer.
    """

    def __init__(self, start: LLMatcher, vocab_size: int, eos_token_ids: frozenset[int]) -> None:
        self._start = start
        self._vocab_size = vocab_size
        self._eos_token_ids = eos_token_ids

    def matcher(self) -> Matcher:
        """The state of one answer, at its beginning."""
        return Matcher(self._start.deep_copy(), self._vocab_size, self._eos_token_ids)


class Matcher:
    """How far one answer has come in its grammar; to be used by one thread at a time.

    Where the grammar leaves one text only, its tokens are those of the tokenizer, and each of them is the only one
    that the mask allows: to append them all without asking the model gives the answer that sampling would give.

    Args:
        matcher: Owned by this object from now on.
        vocab_size: Of the engine's logits.
        eos_token_ids: Tokens that end an answer.
    """

    def __init__(self, matcher: LLMatcher, vocab_size: int, eos_token_ids: frozenset[int]) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._eos_token_ids = eos_token_ids
        self._forced: deque[int] = deque()
        self._searched = False

    @property
    def finished(self) -> bool:
        """Whether the answer is complete, and nothing but an end-of-sequence token may follow."""
        return not self._ahead() and self._matcher.is_stopped() and not self._matcher.is_error()

    def forced(self) -> list[int]:
        """Tokens that must come next, one after the other, if the grammar leaves no choice; none are appended.

        Raises:
            EngineError: As of ``mask``.
        """
        return list(self._ahead())

    def mask(self) -> TokenMask:
        """Which tokens may come next, ``[vocab_size]``: an end-of-sequence token where the answer may end.

        Raises:
            EngineError: None may, or the parser met a limit of its size.
        """
        if ahead := self._ahead():
            mask = np.zeros(self._vocab_size, np.bool_)
            mask[ahead[0]] = True
            return mask
        packed = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        return np.unpackbits(packed, count=self._vocab_size, bitorder="little").view(np.bool_)

    def allow(self, logits: Logits) -> Logits:
        """A copy of the logits ``[vocab_size]`` with minus infinity for tokens that may not come next.

        Raises:
            EngineError: As of ``mask``.
        """
        return np.where(self.mask(), logits, np.float32(-np.inf))

    def allows(self, token: int) -> bool:
        """Whether the token, a row of the logits, may come next; much cheaper than the mask."""
        if ahead := self._ahead():
            return token == ahead[0]
        if token in self._eos_token_ids:
            return self._matcher.is_accepting()
        return self._matcher.validate_tokens([token]) == 1

    def advance(self, token: int) -> None:
        """Append a token to the answer.

        Raises:
            EngineError: It may not come next.
        """
        if not self.allows(token):
            raise EngineError(
                f"token {token} does not fit the form of the answer", "Take a token that the mask allows."
            )
        if self._forced:
            self._forced.popleft()
        else:
            self._matcher.consume_token(token)
            self._check()
        self._searched = bool(self._forced)

    def _ahead(self) -> deque[int]:
        """Forced tokens that the answer does not have yet; llguidance's matcher is behind them already.

        They are looked for once a position, so that it makes no difference who asks, and when.
        """
        if not self._searched:
            self._searched = True
            if forced := self._matcher.compute_ff_tokens():
                self._matcher.consume_tokens(forced)
                self._check()
                self._forced.extend(forced)
        return self._forced

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError(
                f"the form of the answer cannot be followed further: {_reason(self._matcher.get_error())}",
                "Ask for a simpler form.",
            )


def _refuse_failed(matcher: LLMatcher) -> None:
    if matcher.is_error():
        raise RequestError(
            f"the form of the answer cannot be enforced: {_reason(matcher.get_error())}",
            "Change the schema or the pattern.",
        )


def _reason(message: str) -> str:
    """A message of llguidance without the place in a text that the user never saw, and without the parser's state."""
    if message.startswith("NoExtension"):
        return "no token of the model may come next"
    message = re.split(r"\n\s*\d+ \| |\n<state>", message)[0]
    message = re.sub(r"^at \d+\(\d+\): (failed to compile JSON schema: )?", "", message)
    return " ".join(message.split())[:_LONGEST_REASON]
