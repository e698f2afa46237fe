"""A request with tools: the model calls, reads the results, calls again, and answers."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from edge_autoglm.constraints import JsonSchema
from edge_autoglm.errors import DeadlineExceeded, PromptTooLong, RequestError, ToolError
from edge_autoglm.facade.conversation import Prompt, encode_with_tools
from edge_autoglm.facade.streams import completion_of
from edge_autoglm.facade.tools.limits import ToolLimits
from edge_autoglm.facade.tools.outcome import ToolCall, ToolReply, ToolStats
from edge_autoglm.facade.tools.protocol import (
    Turn,
    Written,
    check_choice,
    definitions,
    exchange,
    form_of,
    opening,
    read,
    short_form_of,
)
from edge_autoglm.facade.tools.tool import Tool
from edge_autoglm.facade.tools.worker import ToolWorkers
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.sampling_params import SamplingParams, SamplingSettings, sampling_params
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.generation import Generation
from edge_autoglm.values import Completion, Priority

if TYPE_CHECKING:
    from typing_extensions import Unpack

_NEW_TOKENS = 256
"""Of a round, where the request does not say: a call with two long texts."""
_CHARS_A_TOKEN = 16
"""More than a token has, so that a result of megabytes is cut before it meets the tokenizer."""
_LEAST_RESULT = 8
_FRAME = 64
"""Tokens of chat markers around a call and its result."""


class ToolRequests:
    """``Runtime.tools``: answers with the help of local functions. Thread-safe.

    Args:
        buffer: Has the active generation, which a request leases for all of its rounds.
    """

    def __init__(self, buffer: DoubleBuffer) -> None:
        self._buffer = buffer
        self._workers = ToolWorkers()
        self._lock = threading.Lock()
        self._stats = ToolStats()

    @property
    def stats(self) -> ToolStats:
        """What tools were called, and what came of it."""
        return replace(self._stats, hanging=self._workers.hanging)

    def run(
        self,
        prompt: Prompt,
        tools: Sequence[Tool | Callable[..., object]],
        tool_choice: str = "auto",
        limits: ToolLimits | None = None,
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
        **settings: Unpack[SamplingSettings],
    ) -> ToolReply:
        """Answer a conversation; the model may call functions of the app for it.

        A tool that raises, hangs, or gets arguments that do not fit is an error that the model reads; it never ends the
        request. Results are data: a chat marker in them is text.

        Args:
            prompt: Messages, or a text as what the user says.
            tools: Functions with typed signatures and docstrings; see `Tool.from_function`.
            tool_choice: ``auto`` lets the model choose between calling and answering, ``none`` only answers,
                ``required`` begins with a call, and so does the name of a tool, with that one.
            limits: Rounds, seconds and size of results.
            priority: See ``Runtime.generate``.
            deadline: Seconds for all of it, tools included.
            settings: As of ``Runtime.generate``, for each round; ``max_new_tokens`` is 256 by default. A call that it
                cuts off is written again, with short texts and lists, to its end. No ``constraint``: the form of a
                round is set.

        Raises:
            ToolError: A function cannot be a tool, or two have the same name.
            RequestError: A setting is unknown or out of range, there are no tools, or the model has no chat template.
            PromptTooLong: The conversation does not fit a slot, or leaves no room for a call.
            DeadlineExceeded: See ``deadline``.
            MissingDependency: The extra ``structured`` is not installed.
        """
        known = _by_name(tools)
        check_choice(tool_choice, known)
        params, urgency = _params(settings), Urgency(priority, deadline)
        with self._buffer.lease() as generation:
            session = _Session(generation, known, tool_choice, limits or ToolLimits(), params, urgency)
            try:
                return session.run(prompt, self._workers)
            finally:
                self._count(session.calls)

    def _count(self, calls: Sequence[ToolCall]) -> None:
        with self._lock:
            old = self._stats
            self._stats = ToolStats(
                requests=old.requests + 1,
                calls=old.calls + len(calls),
                failed=old.failed + sum(call.error is not None for call in calls),
                timed_out=old.timed_out + sum(call.timed_out for call in calls),
                refused=old.refused + sum(call.refused for call in calls),
                cut=old.cut + sum(call.cut for call in calls),
                seconds=old.seconds + sum(call.seconds for call in calls),
            )


class _Session:
    """One request, from its first round to its answer."""

    def __init__(
        self,
        generation: Generation,
        tools: Mapping[str, Tool],
        choice: str,
        limits: ToolLimits,
        params: SamplingParams,
        urgency: Urgency,
    ) -> None:
        self._generation = generation
        self._tools = tools
        self._choice = choice
        self._limits = limits
        self._params = params
        self._priority = urgency.priority
        self._ends = math.inf if urgency.deadline is None else time.monotonic() + urgency.deadline
        self._native = generation.model.chat is not None and generation.model.chat.takes_tools
        self.calls: list[ToolCall] = []
        """So far."""

    def run(self, prompt: Prompt, workers: ToolWorkers) -> ToolReply:
        """Rounds until the model answers."""
        messages = _messages(prompt)
        turns = opening(messages, self._tools, native=self._native)
        calls, choice = self.calls, self._choice
        completions: list[Completion] = []
        while True:
            completion = self._complete(turns, form_of(self._tools, choice), self._params)
            completions.append(completion)
            written = read(completion.text)
            if written.answer is None and written.arguments is None and choice != "none":
                completion = self._short_call(turns, completion.text)
                completions.append(completion)
                written = read(completion.text)
            if written.answer is not None or choice == "none":
                text, number = written.answer or "", self._generation.number
                return ToolReply(text, tuple(calls), tuple(completions), completion.finish_reason, number)
            room = self._room(completion)
            call = self._call(written, workers, max(room, _LEAST_RESULT))
            turns += exchange(completion.text, call, len(calls), native=self._native)
            calls.append(call)
            choice = "none" if len(calls) >= self._limits.max_rounds or room < _LEAST_RESULT else "auto"

    def _short_call(self, turns: Sequence[Turn], cut: str) -> Completion:
        """A call that was cut off, again: in a form for which there are tokens enough, whatever is written in it."""
        form, tokens = short_form_of(self._tools, cut)
        enough = max(tokens, self._params.max_new_tokens)
        return self._complete(turns, form, replace(self._params, max_new_tokens=enough, stop=()))

    def _complete(self, turns: Sequence[Turn], form: JsonSchema, params: SamplingParams) -> Completion:
        model = self._generation.model
        tokens = encode_with_tools(model, turns, definitions(self._tools) if self._native else None)
        left = self._left()
        urgency = Urgency(self._priority, None if left == math.inf else left)
        with model.stream(tokens, replace(params, constraint=form), urgency, keep=True) as stream:
            stream.read()
            return completion_of(stream, self._generation.number)

    def _room(self, completion: Completion) -> int:
        """Tokens that a result may have, so that an answer fits behind it."""
        capacity = self._generation.model.engine.facts.capacity
        answer = min(self._params.max_new_tokens, capacity // 4)
        used = completion.usage.prompt_tokens + completion.usage.new_tokens
        return min(self._limits.max_result_tokens, capacity - used - answer - _FRAME)

    def _call(self, written: Written, workers: ToolWorkers, room: int) -> ToolCall:
        arguments = written.arguments
        if arguments is None:
            raise PromptTooLong(
                "the conversation leaves no room for a call in its KV slot",
                "Shorten it, or open the runtime with a larger context.",
            )
        tool, limits = self._tools[written.name], self._limits
        timeout = min(tool.timeout or limits.timeout, self._left())
        finished = workers.run(lambda: tool.call(arguments), timeout, room * _CHARS_A_TOKEN, limits.max_hanging)
        text, cut = finished.text, finished.cut
        if text is not None:
            text, cut = _shortened(self._generation.model, text, room, cut)
        return ToolCall(
            tool.name,
            arguments,
            text,
            finished.error,
            finished.seconds,
            cut=cut,
            timed_out=finished.timed_out,
            refused=finished.refused,
        )

    def _left(self) -> float:
        """Seconds until the deadline; infinity where there is none.

        Raises:
            DeadlineExceeded: It has passed.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the calls of tools took all the time there was", "Give more time, or fewer rounds.")
        return left


def _by_name(tools: Sequence[Tool | Callable[..., object]]) -> dict[str, Tool]:
    if not tools:
        raise RequestError("there are no tools", "Give at least one function, or use generate.")
    known: dict[str, Tool] = {}
    for each in tools:
        tool = each if isinstance(each, Tool) else Tool.from_function(each)
        if tool.name in known:
            raise ToolError(f"two tools are named {tool.name!r}", "Give one of them another name.")
        known[tool.name] = tool
    return known


def _params(settings: SamplingSettings) -> SamplingParams:
    if settings.get("constraint") is not None:
        raise RequestError("a request with tools has a constraint", "Leave it out: calls and answers have their form.")
    given: SamplingSettings = {"max_new_tokens": _NEW_TOKENS}
    given.update(settings)
    return sampling_params(given)


def _messages(prompt: Prompt) -> Sequence[Mapping[str, Any]]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not prompt:
        raise RequestError("there are no messages", 'Give {"role": "user", "content": ...}.')
    for message in cast("Sequence[object]", prompt):
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise RequestError(f"{str(message)[:60]!r} is not a message", 'Give {"role": ..., "content": ...}.')
    return prompt


def _shortened(model: LanguageModel, text: str, most: int, cut: bool) -> tuple[str, bool]:
    """A result of at most so many tokens, and whether any of it is left out."""
    tokens = model.tokenizer.encode(model.tokenizer.shield(text))
    if len(tokens) <= most and not cut:
        return text, False
    kept = model.tokenizer.decode(tokens[:most]).rstrip("\ufffd")  # half a character at its end
    return f"{kept} [cut]", True
