"""Mixed load on a runtime, and what became of each request."""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

from edge_autoglm import Rejected, Runtime, Swapped
from edge_autoglm.device.memory import current_rss
from edge_autoglm.errors import DeadlineExceeded, Overloaded, SwapError
from edge_autoglm.facade.streams import ReplyStream
from edge_autoglm.values import Priority
from tests.stress.questions import BAD, BLOCKING, STREAMED, Known, Question, questions

WAIT = 60.0
"""Seconds after which a request counts as lost."""

WORKERS = 10
BURST = 14


class Load:
    """Workers that ask at random until the time is over.

    Args:
        runtime: Under load.
        known: What the answers must be.
        seconds: How long.
    """

    def __init__(self, runtime: Runtime, known: Known, seconds: float) -> None:
        self.runtime = runtime
        self.known = known
        self.seconds = seconds
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self.kv_bytes: list[int] = []
        self.rss: list[tuple[float, int]] = []
        """Seconds since the begin, and bytes."""
        self._questions = questions(runtime)
        self._counting = threading.Lock()

    def run(self) -> None:
        """Until the time is over and every request has ended."""
        self._begin = time.monotonic()
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WORKERS)]
        threads += [threading.Thread(target=act) for act in (self._swap, self._watch, self._work_in_a_loop)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self.seconds + 2 * WAIT)
            if thread.is_alive():
                self.failures.append(f"{thread} waits for ever")

    @property
    def over(self) -> bool:
        """Whether the time is over, or something went wrong."""
        return bool(self.failures) or self._elapsed() >= self.seconds

    def rss_growth(self) -> float:
        """Bytes between the first and the last quarter of the samples behind the warm-up, a third of the time."""
        samples = [rss for elapsed, rss in self.rss if elapsed > self.seconds / 3]
        quarter = len(samples) // 4
        return statistics.median(samples[-quarter:]) - statistics.median(samples[:quarter])

    def _elapsed(self) -> float:
        return time.monotonic() - self._begin

    def _work(self, number: int) -> None:
        rng = random.Random(number)
        acts: list[Callable[[random.Random], None]] = [
            self._whole,
            self._burst,
            self._in_time,
            self._cancelled,
            self._streamed,
            self._blocking,
            self._bad,
            self._chosen,
        ]
        while not self.over:
            act = rng.choice(acts)
            try:
                act(rng)
            except Overloaded:
                self._count("overloaded")
            except BaseException:
                self.failures.append(f"{act.__name__}: {traceback.format_exc()}")

    def _count(self, outcome: str, number: int = 1) -> None:
        with self._counting:
            self.outcomes[outcome] += number

    def _check(self, name: str, answer: object, expected: object) -> None:
        if answer != expected:
            self.failures.append(f"{name}: {answer!r} instead of {expected!r}")

    def _submit(self, rng: random.Random, **urgency: Any) -> tuple[Question, Future[Any]]:
        question = rng.choice(self._questions)
        future = question.submit(priority=rng.choice(list(Priority)), **urgency)
        self._count("sent")
        future.add_done_callback(lambda _: self._count("ended"))
        return question, future

    def _take(self, question: Question, future: Future[Any]) -> None:
        answer = future.result(WAIT)
        self._check(question.name, question.view(answer), self.known.futures[question.name])
        if hasattr(answer, "id"):
            self.runtime.feedback(answer.id, 0.5)
        self._count("answered")

    def _whole(self, rng: random.Random) -> None:
        self._take(*self._submit(rng))

    def _burst(self, rng: random.Random) -> None:
        """More at once than may wait."""
        sent = []
        for _ in range(BURST):
            try:
                sent.append(self._submit(rng))
            except Overloaded:
                self._count("overloaded")
        for one in sent:
            self._take(*one)

    def _in_time(self, rng: random.Random) -> None:
        question, future = self._submit(rng, deadline=rng.uniform(0.001, 0.1))
        try:
            self._take(question, future)
        except DeadlineExceeded:
            self._count("late")

    def _cancelled(self, rng: random.Random) -> None:
        question, future = self._submit(rng)
        time.sleep(rng.choice((0.0, rng.uniform(0, 0.05))))
        if not future.cancel():
            self._take(question, future)
            return
        try:
            answer = future.result(WAIT)
        except CancelledError:
            self._count("cancelled")
        else:
            self.failures.append(f"cancelled {question.name}: {answer!r}")

    def _streamed(self, rng: random.Random) -> None:
        """Read to the end, closed or dropped behind any piece."""
        name = rng.choice(list(STREAMED))
        stream = STREAMED[name](self.runtime, priority=rng.choice(list(Priority)))
        wanted, pieces = rng.choice((0, 1, 3, 9, 1000)), []
        for piece in stream:
            pieces.append(piece)
            if len(pieces) > wanted:
                break
        if isinstance(stream, ReplyStream):
            self.runtime.feedback(stream.id, 0.5)
        text = "".join(pieces)
        if wanted == 1000:
            self._check(name, text, self.known.streams[name])
            self._count("streamed")
        else:
            self._check(f"begin of {name}", text, self.known.streams[name][: len(text)])
            self._count("left stream")
            if rng.random() < 0.5:
                stream.close()
                self._check(f"closed {name}", list(stream), [])

    def _blocking(self, rng: random.Random) -> None:
        name = rng.choice(list(BLOCKING))
        urgency = {} if name.endswith("many") else {"priority": rng.choice(list(Priority))}
        self._check(name, BLOCKING[name](self.runtime, **urgency), self.known.blocking[name])
        self._count("answered")

    def _bad(self, rng: random.Random) -> None:
        error, ask = rng.choice(BAD)
        try:
            answer = ask(self.runtime)
        except error as refusal:
            self._check("refusal", type(refusal), error)
            self._count("refused")
        else:
            self.failures.append(f"{answer!r} instead of {error}")

    def _chosen(self, rng: random.Random) -> None:
        """The policy chooses the variant; whichever it is, the answer is its own."""
        reply = self.runtime.submit("mood", {"text": "good"}).result(WAIT)
        self._check("chosen", (reply.label, reply.scores, reply.variant), self.known.futures[f"mood-{reply.variant}-0"])
        self.runtime.feedback(reply.id, float(reply.variant == "framed"))
        self._count("answered")

    def _swap(self) -> None:
        rng = random.Random(99)
        while not self.over:
            time.sleep(min(1.0, self.seconds / 10))
            try:
                outcome = self.runtime.learner.promote() if rng.random() < 0.8 else self.runtime.learner.rollback()
                kind = (
                    "swapped"
                    if isinstance(outcome, Swapped)
                    else "rejected"
                    if isinstance(outcome, Rejected)
                    else "rolled back"
                )
                self._count(kind)
            except SwapError:
                self._count("nothing to roll back to")
            except BaseException:
                self.failures.append(f"swap: {traceback.format_exc()}")

    def _watch(self) -> None:
        while not self.over:
            stats = self.runtime.stats.kv
            self.kv_bytes.append(stats.nbytes)
            rss = current_rss()
            if rss is not None:
                self.rss.append((self._elapsed(), rss))
            time.sleep(max(0.02, self.seconds / 400))

    def _work_in_a_loop(self) -> None:
        try:
            asyncio.run(self._tasks())
        except BaseException:
            self.failures.append(f"event loop: {traceback.format_exc()}")

    async def _tasks(self) -> None:
        await asyncio.gather(*(self._task(random.Random(100 + number)) for number in range(3)))

    async def _task(self, rng: random.Random) -> None:
        while not self.over:
            try:
                await rng.choice((self._await_stream, self._await_future))(rng)
            except Overloaded:
                self._count("overloaded")
                await asyncio.sleep(0.001)

    async def _await_stream(self, rng: random.Random) -> None:
        name = rng.choice(list(STREAMED))
        stream = STREAMED[name](self.runtime, priority=rng.choice(list(Priority)))

        async def read() -> str:
            return "".join([piece async for piece in stream])

        try:
            text = await asyncio.wait_for(read(), rng.choice((WAIT, rng.uniform(0.001, 0.05))))
        except asyncio.TimeoutError:
            stream.close()
            self._count("left stream")
        else:
            self._check(name, text, self.known.streams[name])
            self._count("streamed")

    async def _await_future(self, rng: random.Random) -> None:
        question, future = self._submit(rng)
        try:
            await asyncio.wait_for(asyncio.wrap_future(future), rng.choice((WAIT, rng.uniform(0.001, 0.05))))
        except asyncio.TimeoutError:
            self._count("cancelled")
        else:
            self._take(question, future)
