"""``Runtime.conversation``: a conversation that is remembered, on the disk and within a token budget."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_autoglm.errors import RequestError
from edge_autoglm.facade.conversation import chat_prompt
from edge_autoglm.facade.free_requests import FreeRequests
from edge_autoglm.facade.futures import wait_for
from edge_autoglm.facade.memory.folding import fold
from edge_autoglm.facade.memory.keeping import Keeper, Mark
from edge_autoglm.facade.memory.prompting import facts_in, messages_of
from edge_autoglm.facade.memory.settings import MemorySettings
from edge_autoglm.facade.memory.stream import TurnStream
from edge_autoglm.facade.memory.summing import summarise
from edge_autoglm.facade.stores import Stores
from edge_autoglm.knowledge.conversations import ConversationState, Turn
from edge_autoglm.knowledge.texts import check_text
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.sampling_params import SamplingParams, SamplingSettings, sampling_params
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.values import Completion, Message, Priority

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Conversation:
    """One conversation; any number of threads may send to it, and are answered one after the other.

    What was said is in the runtime's state folder, under the conversation's name: after a restart it goes on.

    Args:
        name: Unique.
        system: System prompt; ``None`` keeps the one it has.
        settings: Of its memory.
        stores: Of the runtime.
        free: Answers.
        buffer: Has the model.
        keeper: Writes it down.
    """

    def __init__(
        self,
        name: str,
        system: str | None,
        settings: MemorySettings,
        stores: Stores,
        free: FreeRequests,
        buffer: DoubleBuffer,
        keeper: Keeper,
    ) -> None:
        self.name = check_text("the name of a conversation", name)
        self._system = system
        self._settings = settings
        self._stores = stores
        self._free = free
        self._buffer = buffer
        self._keeper = keeper
        self._lock = threading.Lock()
        self._streaming = False

    @property
    def state(self) -> ConversationState:
        """Turns, summary and system prompt as they are kept."""
        held = self._stores.open().conversations.load(self.name) or ConversationState(self.name)
        return held if self._system is None else replace(held, system=self._system)

    @property
    def history(self) -> tuple[Turn, ...]:
        """All turns that are kept, those that the summary stands for included."""
        return self.state.turns

    @property
    def summary(self) -> str:
        """What the model made of the turns that its prompt no longer holds; empty for none."""
        return self.state.summary

    @property
    def messages(self) -> list[Message]:
        """What the next prompt begins with."""
        state = self.state
        return messages_of(state, self._facts(state))

    @property
    def prompt_tokens(self) -> int:
        """Size of that."""
        state = self.state
        with self._buffer.lease() as generation:
            return _size(generation.model, messages_of(state, self._facts(state)))

    def send(
        self,
        text: str,
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
        **settings: Unpack[SamplingSettings],
    ) -> Completion:
        """Say something and wait for the answer; both are kept once this returns, and neither where it raises.

        Raises:
            InputRejected: The text is unusable.
            PromptTooLong: System prompt and text alone are over the budget.
            RequestError: See ``Runtime.generate``; or an answer is being streamed.
            StateError: The state folder cannot be used.
        """
        params, urgency = sampling_params(settings), Urgency(priority, deadline)
        with self._lock:
            self._check_free()
            since = self._keeper.mark(self.name)
            state, turn, messages = self._prepare(text, params, urgency, since)
            completion = wait_for(self._free.submit(messages, params, urgency))
            self._keeper.keep(since, state, [_answered(turn, completion.text)])
        return completion

    def stream(
        self,
        text: str,
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
        **settings: Unpack[SamplingSettings],
    ) -> TurnStream:
        """`send`, piece by piece; the turn is kept once the stream was read to its end.

        Until then, or until it is closed, nothing else can be sent.
        """
        params, urgency = sampling_params(settings), Urgency(priority, deadline)
        with self._lock:
            self._check_free()
            since = self._keeper.mark(self.name)
            state, turn, messages = self._prepare(text, params, urgency, since)
            pieces, generation = self._free.pieces(messages, params, urgency)
            self._streaming = True

        def keep(answer: str) -> None:
            self._keeper.keep(since, state, [_answered(turn, answer)])

        return TurnStream(pieces, generation.number, keep, self._streamed)

    def is_set_up_like(self, system: str | None, settings: MemorySettings) -> bool:
        """Whether it was made with these."""
        return (system, settings) == (self._system, self._settings)

    def _prepare(
        self, text: str, params: SamplingParams, urgency: Urgency, since: Mark
    ) -> tuple[ConversationState, Turn, list[Message]]:
        """Make room for the text; what was folded for it is on the disk already."""
        check_text("a text of a conversation", text)
        state = self.state
        turn = Turn(text, "", self._relevant(state, text))
        with self._buffer.lease() as generation:
            model = generation.model
            facts = self._facts(state, turn)
            folded = fold(
                state,
                self._settings,
                self._budget(model, params),
                lambda candidate: _size(model, messages_of(candidate, facts, turn)),
                lambda summary, turns: summarise(model, summary, turns, self._settings.summary_tokens, urgency),
            )
        if folded is not state:
            self._keeper.keep(since, folded)
        return folded, turn, messages_of(folded, facts, turn)

    def _budget(self, model: LanguageModel, params: SamplingParams) -> int:
        capacity = model.engine.facts.capacity
        room = capacity - 1 - min(params.max_new_tokens, capacity // 2)
        return room if self._settings.budget_tokens is None else min(room, self._settings.budget_tokens)

    def _relevant(self, state: ConversationState, text: str) -> tuple[int, ...]:
        """Facts to show with a text: those that match it best, less those that the prompt shows already."""
        if not self._settings.facts:
            return ()
        shown = set(facts_in(state))
        found = self._stores.open().facts.search(text, self._settings.facts + len(shown), self.name)
        return tuple(fact.id for fact in found if fact.id not in shown)[: self._settings.facts]

    def _facts(self, state: ConversationState, asked: Turn | None = None) -> dict[int, str]:
        numbers = dict.fromkeys(facts_in(state, asked))
        return {fact.id: fact.text for fact in self._stores.open().facts.get(numbers)}

    def _check_free(self) -> None:
        if self._streaming:
            cause = f"an answer of conversation {self.name} is being streamed"
            raise RequestError(cause, "Read it to its end, or close it, before you send the next text.")

    def _streamed(self) -> None:
        self._streaming = False


def _answered(turn: Turn, answer: str) -> Turn:
    return replace(turn, assistant=answer.replace("\0", ""))


def _size(model: LanguageModel, messages: Sequence[Message]) -> int:
    return 1 + len(model.tokenizer.encode(chat_prompt(model, messages))) if messages else 0
