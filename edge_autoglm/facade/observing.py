"""What users' requests show of the generations that answer them, told to whoever decides about a swap."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future

from edge_autoglm.errors import DeadlineExceeded, Overloaded, RequestError
from edge_autoglm.facade.answering import Answer, is_deterministic, submit_answer
from edge_autoglm.facade.asked import Asked
from edge_autoglm.facade.choosing import Choice
from edge_autoglm.facade.futures import then
from edge_autoglm.learn.rewards.signals import Signal, rewards_of
from edge_autoglm.prompts import Task
from edge_autoglm.runtime.urgency import UNHURRIED
from edge_autoglm.swap.buffer import Lease
from edge_autoglm.swap.garbage import is_garbage
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.shadow import text_agreement
from edge_autoglm.swap.swapper import Swapper
from edge_autoglm.swap.traffic import Served, Traffic

_NOT_ITS_FAULT = (CancelledError, DeadlineExceeded, Overloaded, RequestError)
"""Ends of a request that say nothing of the generation."""


class Observer:
    """Thread-safe; its methods run where requests end, and are quick.

    Args:
        traffic: Told of every request of a task.
        swapper: Whose shadow, if there is one, is offered what was answered.
    """

    def __init__(self, traffic: Traffic, swapper: Swapper) -> None:
        self._traffic = traffic
        self._swapper = swapper

    def observe(self, answer: Future[Answer], lease: Lease, asked: Asked, choice: Choice) -> None:
        """Look at a request when it ends.

        Args:
            answer: To come.
            lease: On which it runs.
            asked: The request.
            choice: Of the variant that answers it.
        """
        answer.add_done_callback(lambda ended: self._ended(ended, lease, asked, choice))

    def rewarded(self, decision: str, signal: Signal) -> None:
        """Feedback was taken for a decision; what users did, rather than said, counts for nothing here."""
        for reward in rewards_of(decision, signal):
            if reward.kind == "explicit":
                self._traffic.rewarded(reward.id, reward.value)

    def _ended(self, answer: Future[Answer], lease: Lease, asked: Asked, choice: Choice) -> None:
        number = lease.generation.number
        if answer.cancelled() or isinstance(answer.exception(), _NOT_ITS_FAULT):
            return
        if answer.exception() is not None:
            self._traffic.served(Served(number, 0.0, True, False, lease.canary, lease.first))
            return
        given = answer.result()
        seconds = max(0.0, given.timings.total - given.timings.queue)
        garbage = given.label is None and is_garbage(given.text)
        self._traffic.served(Served(number, seconds, False, garbage, lease.canary, lease.first), choice.decision.id)
        self._offer(given, lease.generation, asked, choice)

    def _offer(self, given: Answer, generation: Generation, asked: Asked, choice: Choice) -> None:
        """Answers that are drawn by lot cannot be expected to agree."""
        shadow = self._swapper.shadow
        if shadow is not None and is_deterministic(generation.catalogue.task(asked.task), choice.variant):
            shadow.offer(lambda candidate: _agreement(candidate, asked, choice.variant.name, given))


def can_answer(generation: Generation, asked: Asked) -> bool:
    """Whether it has the task, and the variant that the app named."""
    return _task(generation, asked.task, asked.variant) is not None


def _task(generation: Generation, name: str, variant: str | None) -> Task | None:
    if name not in generation.catalogue.names:
        return None
    task = generation.catalogue.task(name)
    known = variant is None or any(each.name == variant for each in task.variants)
    return task if known else None


def _agreement(candidate: Generation, asked: Asked, variant: str, given: Answer) -> Future[float] | None:
    """Of a candidate's answer by the same variant, if it has that, with the one that the user got."""
    task = _task(candidate, asked.task, variant)
    if task is None:
        return None
    other = submit_answer(candidate.model, task, task.variant(variant), asked.inputs, UNHURRIED, asked.retrieved)

    def compared(answer: Answer) -> float:
        if given.label is not None:
            return float(answer.label == given.label)
        return text_agreement(given.text, answer.text)

    return then(other, compared)
