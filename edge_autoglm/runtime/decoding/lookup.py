"""Lossless speculation by prompt look-up: draft tokens are copied from where the last tokens occurred before.

Drafts come from prompt and output (prompt look-up decoding, Saxena 2023; LLMA, Yang et al. 2023). The generation loop
runs them in one forward pass behind the last token and keeps the longest prefix that equals what it would have picked
anyway (speculative verification, Leviathan et al. 2023, for a draft that is certain of itself). Hence a draft decides
about time, never about tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from edge_autoglm.errors import RequestError

_MAX_CANDIDATES = 16
"""Earlier places looked at for the longest match: bounds the work a token, as the chains of deflate do."""

_MAX_CONTEXT = 32
"""Tokens compared a candidate; longer matches are all as good."""

_PRIOR = (0.10, 0.30, 0.60, 0.85, 0.95)
"""Acceptance by length of the match (1, 2-3, 4-7, 8-15, 16 or more tokens) before anything was seen. Measured on
SmolLM2-135M-Instruct, greedy: 0.13, 0.42, 0.61, 0.93 on free answers; 0.36, 0.72, 0.85, 0.92, 0.99 on answers that
copy; on English prose 0.10, 0.25, 0.48, 0.73."""

_PRIOR_WEIGHT = 4.0
"""Observations that the prior is worth."""

_MEMORY = 0.97
"""Weight of an observation against the one after it: about the last 30 of each length count."""

_MIN_GAIN = 1.1
"""Expected tokens a cost unit up to which nothing is drafted: room for an estimate that rests on a few chance hits."""


class LookupDrafter:
    """Proposes the tokens of one request; not thread-safe.

    It follows the place from which it would copy all the time, also while it proposes nothing: every emitted token
    says whether the copy would have been right, at no cost. So it need not try out whether drafts pay: it proposes
    when, and as far as, that record says that they do, and falls silent on text that repeats nothing.

    Of the places where the last tokens occurred before, it copies from the one with the longest match, since
    acceptance grows with it; among equals from the latest, since lists, tables and loops go on as they did last.

    The length drafted is the ``k`` with the most expected tokens a cost unit ``(1 + a1 + a1 a2 + ...) / cost(k)``
    (as Theorem 3.8 of Leviathan et al. 2023, with a rate of its own for each length of the match: token ``i`` of a
    draft is behind a match that is ``i`` tokens longer).

    Args:
        prompt_tokens: The whole prompt.
        max_draft: Tokens proposed at once at most. 16 is on the plateau for any cost of 0.15 or more a token.
        step_cost: Cost of a step that verifies ``k`` tokens in units of a plain decode step, or the cost ``c`` that
            every token adds, for ``1 + c k``. Two AVX2 cores, SmolLM2-135M: 0.27 (int8), 0.15 (w8a8), 0.3 (int4).
        end_tokens: Tokens that end an answer: nothing is proposed behind one.

    Raises:
        RequestError: ``max_draft`` or a cost is out of range.
    """

    def __init__(
        self,
        prompt_tokens: Sequence[int],
        max_draft: int,
        step_cost: Callable[[int], float] | float,
        end_tokens: Collection[int] = (),
    ) -> None:
        if max_draft < 1:
            raise RequestError(f"max_draft is {max_draft}", "Give 1 or more, or use no drafter.")
        self._costs = _costs(step_cost, max_draft)
        self._end_tokens = frozenset(end_tokens)
        self._history = _History(prompt_tokens)
        self._rates = _AcceptanceRates()
        self._source, self._match = self._history.longest_match()

    def draft(self, room: int) -> list[int]:
        """Tokens to verify behind the last one; none where that does not pay.

        Args:
            room: Tokens proposed at most, besides ``max_draft``.
        """
        length = self._best_length(min(room, len(self._costs))) if self._source else 0
        return self._up_to_end(self._history.copy(self._source, length))

    def push(self, token: int) -> None:
        """Take note of an emitted token, proposed or not."""
        hit = bool(self._source) and self._history.tokens[self._source] == token
        if self._source:
            self._rates.observe(self._match, hit)
        self._history.append(token)
        if hit:
            self._source, self._match = self._source + 1, self._match + 1
        else:
            self._source, self._match = self._history.longest_match()

    def _best_length(self, limit: int) -> int:
        best, most = 0, _MIN_GAIN
        expected, all_accepted = 1.0, 1.0
        rates = self._rates.behind(self._match, limit)
        for k, (rate, cost) in enumerate(zip(rates, self._costs, strict=False), start=1):
            all_accepted *= rate
            expected += all_accepted
            if expected > most * cost:
                best, most = k, expected / cost
        return best

    def _up_to_end(self, draft: list[int]) -> list[int]:
        for index, token in enumerate(draft, start=1):
            if token in self._end_tokens:
                return draft[:index]
        return draft


def _costs(step_cost: Callable[[int], float] | float, max_draft: int) -> tuple[float, ...]:
    """Cost of steps that verify 1, 2 ... ``max_draft`` tokens."""
    lengths = range(1, max_draft + 1)
    costs = tuple(step_cost(k) if callable(step_cost) else 1.0 + step_cost * k for k in lengths)
    if not all(0.0 < cost < math.inf for cost in costs):
        raise RequestError(f"steps that verify drafts cost {costs}", "Give finite costs above 0.")
    return costs


class _AcceptanceRates:
    """How often the token to copy next was the one emitted, by length of the match in powers of two."""

    def __init__(self) -> None:
        self._seen = [_PRIOR_WEIGHT] * len(_PRIOR)
        self._hits = [_PRIOR_WEIGHT * rate for rate in _PRIOR]

    def observe(self, match: int, hit: bool) -> None:
        i = _length_class(match)
        self._seen[i] = _PRIOR_WEIGHT + _MEMORY * (self._seen[i] - _PRIOR_WEIGHT) + 1.0
        prior = _PRIOR_WEIGHT * _PRIOR[i]
        self._hits[i] = prior + _MEMORY * (self._hits[i] - prior) + hit

    def behind(self, match: int, count: int) -> list[float]:
        """Of tokens behind a match of this length, and of one more with each."""
        rates = [hits / seen for hits, seen in zip(self._hits, self._seen, strict=True)]
        return [rates[_length_class(match + i)] for i in range(count)]


def _length_class(match: int) -> int:
    """0 for a match of up to 1 token, then 1 for 2-3, 2 for 4-7 ..."""
    return min(max(match.bit_length(), 1), len(_PRIOR)) - 1


class _History:
    """All tokens so far, and the places behind which each pair of tokens occurred: a step costs the same at any length.

    Positions are those of the token to copy next; 0 is none.

    Args:
        tokens: Of the prompt.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens: list[int] = []
        self._latest_single: dict[int, int] = {}
        self._latest_pair: dict[tuple[int, int], int] = {}
        self._earlier = [0]
        """For each position, the last one before it behind the same pair."""
        self._earlier_single = 0
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        tokens = self.tokens
        behind = len(tokens) + 1
        pair = (tokens[-1], token) if tokens else (-1, token)
        tokens.append(token)
        self._earlier.append(self._latest_pair.get(pair, 0))
        self._latest_pair[pair] = behind
        self._earlier_single = self._latest_single.get(token, 0)
        self._latest_single[token] = behind

    def longest_match(self) -> tuple[int, int]:
        """Position behind the longest earlier occurrence of the last tokens, the latest among equals; its length."""
        position, longest = self._earlier_single, int(self._earlier_single > 0)
        candidate = self._earlier[-1]
        for _ in range(_MAX_CANDIDATES):
            if not candidate:
                break
            length = self._common(candidate)
            if length > longest:
                position, longest = candidate, length
            candidate = self._earlier[candidate]
        return position, longest

    def copy(self, position: int, length: int) -> list[int]:
        """The tokens from a position on; beyond the last token they repeat, as in a loop."""
        period = len(self.tokens) - position
        return [self.tokens[position + i % period] for i in range(length)]

    def _common(self, position: int) -> int:
        """Tokens before a position that equal the last ones."""
        tokens = self.tokens
        length, limit = 2, min(position, _MAX_CONTEXT)
        while length < limit and tokens[position - 1 - length] == tokens[-1 - length]:
            length += 1
        return length
