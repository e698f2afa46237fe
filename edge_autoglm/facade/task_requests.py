"""Requests of tasks: choose a variant, answer, remember the decision."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

from edge_autoglm.facade.answering import Answer, answer_of, is_deterministic, stream_answer, submit_answer
from edge_autoglm.facade.asked import Asked
from edge_autoglm.facade.choosing import Choice, Describer, choose
from edge_autoglm.facade.futures import finished, release_with, then
from edge_autoglm.facade.guarded_stream import GuardedStream
from edge_autoglm.facade.guarding import AnswerCheck, Guard
from edge_autoglm.facade.observing import Observer, can_answer
from edge_autoglm.facade.response_cache import ResponseCache, held_bytes
from edge_autoglm.facade.shots import Retriever
from edge_autoglm.facade.streams import ReplyStream
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.rewards.price import UNMEASURED, AnswerCost
from edge_autoglm.prompts import Task
from edge_autoglm.swap.buffer import DoubleBuffer, Lease
from edge_autoglm.swap.generation import Generation
from edge_autoglm.values import Reply, Timings


class TaskRequests:
    """Answers requests of tasks with the active generation, which each leases for as long as it runs. Thread-safe."""

    def __init__(
        self,
        buffer: DoubleBuffer,
        learner: Learner,
        cache: ResponseCache,
        describer: Describer,
        observer: Observer,
        retriever: Retriever,
    ) -> None:
        self._buffer = buffer
        self._describer = describer
        self._learner = learner
        self._cache = cache
        self._observer = observer
        self._retriever = retriever
        self.guard = Guard()
        self._streaming: dict[str, Callable[[AnswerCost], None]] = {}
        """Decision -> what writes it down, of streams that have not ended: what they cost is not known yet."""

    def submit(self, asked: Asked) -> Future[Reply]:
        """Answer a whole request; see ``Runtime.submit``."""
        with ExitStack() as held:
            lease = held.enter_context(self._lease(asked))
            generation = lease.generation
            task, tokenizer = generation.catalogue.task(asked.task), generation.model.tokenizer
            asked = self.guard.admit(asked, task, tokenizer)
            choice = choose(generation.policy, task, asked, self._describer)
            asked = self._retriever.bring(asked, task, choice.variant)
            answer, cached = self._answer(generation, task, choice, asked)
            # First of the callbacks: whoever has the reply finds the lease ended.
            release_with(answer, held.pop_all())
        if not cached:
            self._observer.observe(answer, lease, asked, choice)

        def reply(answered: Answer) -> Reply:
            return self.guard.release(
                self._reply(answered, choice, task.name, generation.number, cached), task, tokenizer
            )

        return then(answer, reply)

    def stream(self, asked: Asked) -> ReplyStream:
        """Answer a request of a text task piece by piece; see ``Runtime.stream``."""
        with ExitStack() as held:
            lease = held.enter_context(self._lease(asked))
            generation = lease.generation
            task, tokenizer = generation.catalogue.task(asked.task), generation.model.tokenizer
            asked = self.guard.admit(asked, task, tokenizer)
            choice = choose(generation.policy, task, asked, self._describer)
            asked = self._retriever.bring(asked, task, choice.variant)
            pieces = stream_answer(generation.model, task, choice.variant, asked.inputs, asked.urgency, asked.retrieved)
            release_with(pieces.future, held.pop_all())
            answer = then(pieces.future, answer_of)
            self._observer.observe(answer, lease, asked, choice)
            self._record_at_its_end(answer, choice, asked.task, generation.number)
            check = AnswerCheck(self.guard, task, tokenizer, choice.decision.id)
            return GuardedStream(pieces, generation.number, choice.decision, choice.explain, check)

    def settle(self, decision: str, cost: AnswerCost = UNMEASURED) -> None:
        """Write down the decision of a stream, if that has not been done: it has ended, or feedback comes before."""
        write = self._streaming.pop(decision, None)
        if write is not None:
            write(cost)

    def _record_at_its_end(self, answer: Future[Answer], choice: Choice, task: str, generation: int) -> None:
        decision = choice.decision.id
        self._streaming[decision] = lambda cost: self._record(choice, task, generation, cost)

        def ended(done: Future[Answer]) -> None:
            failed = done.cancelled() or done.exception() is not None
            self.settle(decision, UNMEASURED if failed else _cost(done.result()))

        answer.add_done_callback(ended)

    def _lease(self, asked: Asked) -> AbstractContextManager[Lease]:
        return self._buffer.lease_for(asked.session, lambda generation: can_answer(generation, asked))

    def _answer(self, generation: Generation, task: Task, choice: Choice, asked: Asked) -> tuple[Future[Answer], bool]:
        """The answer, and whether it was given before."""
        inputs, urgency, found = asked.inputs, asked.urgency, asked.retrieved
        if not (self._cache.enabled and is_deterministic(task, choice.variant)):
            return submit_answer(generation.model, task, choice.variant, inputs, urgency, found), False
        started = time.perf_counter()
        key = self._cache.key(generation.number, "task", task.name, choice.variant.name, sorted(inputs.items()), found)
        held = self._cache.get(key)
        if isinstance(held, Answer):
            return finished(_again(held, time.perf_counter() - started)), True
        answer = submit_answer(generation.model, task, choice.variant, inputs, urgency, found)

        def remember(answered: Answer) -> Answer:
            self._cache.put(key, answered, held_bytes(answered))
            return answered

        return then(answer, remember), False

    def _record(self, choice: Choice, task: str, generation: int, cost: AnswerCost) -> None:
        self._learner.record(choice.decision, task, choice.arms, choice.features, generation, cost)

    def _reply(self, answered: Answer, choice: Choice, task: str, generation: int, cached: bool) -> Reply:
        self._record(choice, task, generation, _cost(answered))
        return Reply(
            id=choice.decision.id,
            text=answered.text,
            label=answered.label,
            variant=choice.decision.arm,
            propensity=choice.decision.propensity,
            generation=generation,
            usage=answered.usage,
            timings=answered.timings,
            scores=answered.scores,
            from_cache=cached,
            explainer=choice.explain,
        )


def _cost(answer: Answer) -> AnswerCost:
    return AnswerCost(answer.timings.total, answer.usage.new_tokens)


def _again(answer: Answer, seconds: float) -> Answer:
    """A held answer as it is given again: nothing ran for it."""
    usage = replace(answer.usage, num_cached_tokens=answer.usage.prompt_tokens, new_tokens=0)
    return replace(answer, usage=usage, timings=Timings(queue=0.0, ttft=seconds, total=seconds))
