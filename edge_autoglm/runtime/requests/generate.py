"""A request that continues a prompt: prefill, then tokens one after the other until something ends them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.decoding.grammar import Matcher
from edge_autoglm.runtime.decoding.lookup import LookupDrafter
from edge_autoglm.runtime.decoding.sampling import Sampler
from edge_autoglm.runtime.decoding.step_cost import StepCost
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.requests.output import GeneratedText, Output
from edge_autoglm.runtime.requests.prompt import keep, restore
from edge_autoglm.runtime.schedule.job import Append, Steps
from edge_autoglm.runtime.schedule.seat import Seat


@dataclass(slots=True)
class Generation:
    """One continuation.

    Attributes:
        kv: Where a beginning of the prompt may be held.
        tokens: The prompt.
        sampler: Picks each token.
        text: Turns tokens into text.
        output: Is told of everything.
        eos_token_ids: End the text.
        limit: New tokens at most; prompt and limit fit a slot.
        least: New tokens before the model may end the text.
        matcher: What the grammar allows, if there is one.
        make_drafter: Makes what proposes tokens to verify, from the prompt; ``None`` where a verified token may round
            otherwise than a decoded one.
        step_cost: Learns what verifying costs.
        keep_prompt: Leave the KV of the prompt to later requests.
        keep_answer: And that of the answer; only where decode steps give the bits of a prefill.
    """

    kv: KVStore
    tokens: Sequence[int]
    sampler: Sampler
    text: GeneratedText
    output: Output
    eos_token_ids: Collection[int]
    limit: int
    least: int = 0
    matcher: Matcher | None = None
    make_drafter: Callable[[Sequence[int]], LookupDrafter] | None = None
    step_cost: StepCost | None = None
    keep_prompt: bool = False
    keep_answer: bool = False
    _answer: list[int] = field(default_factory=list)
    _drafter: LookupDrafter | None = None

    def steps(self, seat: Seat) -> Steps[Output]:
        """Run it."""
        output = self.output
        output.queue = output.elapsed
        try:
            output.num_cached_tokens = restore(seat, self.kv, self.tokens)
            logits = yield Append.for_last(self.tokens[output.num_cached_tokens :])
            yield from self._decode(seat, logits)
            self.text.finish()
            self._release()
            if self.keep_answer:
                keep(seat, self.kv, [*self.tokens, *self._answer][: seat.length])
        finally:
            output.total = output.elapsed
        return output

    def _decode(self, seat: Seat, logits: Logits) -> Steps[None]:
        """Each step runs the tokens picked last and drafts behind them, whose logits tell whether they were right."""
        drafts: list[int] = []
        while True:
            accepted = self._accept(logits, drafts)
            seat.truncate(seat.length - len(drafts) + accepted)
            if self.keep_prompt and seat.length == len(self.tokens):
                keep(seat, self.kv, self.tokens)  # behind the first token: copying takes milliseconds
            self.output.drafted += len(drafts)
            self.output.accepted += accepted
            if self._ended():
                return
            picked = [self._answer[-1], *self._forced()]
            if self._ended():
                return
            drafts = self._draft(seat)
            first = len(picked) - 1
            started = time.perf_counter()
            logits = yield Append([*picked, *drafts], range(first, first + len(drafts) + 1))
            if self.step_cost is not None and len(picked) == 1 and not seat.crowded:
                self.step_cost.observe(len(drafts), time.perf_counter() - started)

    def _accept(self, logits: Logits, drafts: Sequence[int]) -> int:
        """Pick a token behind each right draft, and one more; how many drafts were right."""
        for position, row in enumerate(logits):
            token = self._pick(row)
            if self._ended() or position == len(drafts) or token != drafts[position]:
                return position
        return len(drafts)

    def _pick(self, logits: Logits) -> int:
        picked = self.sampler.pick(logits, self._allowed(len(logits)))
        if picked.logprob is not None:
            self.output.logprobs.append(picked.logprob)
        if self.matcher is not None:
            self.matcher.advance(picked.token)
        self._append(picked.token)
        return picked.token

    def _allowed(self, vocab_size: int) -> npt.NDArray[np.bool_] | None:
        """What the next token may be; ``None`` for anything."""
        if self.matcher is not None:
            return self.matcher.mask()
        if len(self._answer) >= self.least:
            return None
        allowed = np.ones(vocab_size, dtype=np.bool_)
        allowed[list(self.eos_token_ids)] = False
        return allowed

    def _forced(self) -> list[int]:
        """Tokens without an alternative, which no logits are needed for."""
        if self.matcher is None or self.output.logprobs:  # whoever wants log-probabilities wants those of all tokens
            return []
        forced = []
        for token in self.matcher.forced():
            self.sampler.push(token)
            self.matcher.advance(token)
            self._append(token)
            forced.append(token)
            if self._ended():
                break
        return forced

    def _append(self, token: int) -> None:
        """Take a token as part of the answer, and see whether it ends it."""
        self._answer.append(token)
        self.output.count()
        if self._drafter is not None:
            self._drafter.push(token)
        self.output.finish_reason = self._end(token)
        self._release()

    def _ended(self) -> bool:
        return self.output.finish_reason is not None

    def _end(self, token: int) -> str | None:
        if token in self.eos_token_ids:
            return "eos"
        self.text.push(token)
        if self.text.stopped:
            return "stop"
        if self.matcher is not None and self.matcher.finished:
            return "eos"
        return "length" if len(self._answer) == self.limit else None

    def _draft(self, seat: Seat) -> list[int]:
        """A verified chunk runs by itself: beside other rows it costs more than it saves."""
        room = self.limit - len(self._answer) - 1
        if self.make_drafter is None or seat.crowded or room < 1:
            return []
        if self._drafter is None:  # only now: reading a long prompt takes a millisecond of the first token's time
            self._drafter = self.make_drafter(self.tokens)
            for token in self._answer:
                self._drafter.push(token)
        return self._drafter.draft(room)

    def _release(self) -> None:
        piece = self.text.take()
        if piece:
            self.output.put(piece)
