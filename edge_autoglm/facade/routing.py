"""``Runtime.route`` and ``Runtime.router``: which of the app's tasks a text asks for."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_autoglm.errors import InputRejected, RequestError
from edge_autoglm.prompts import Catalogue, Task
from edge_autoglm.swap.buffer import DoubleBuffer

if TYPE_CHECKING:
    from edge_autoglm.learn.routing.router import Route, Router

FILE_NAME = "router.safetensors"
THRESHOLD = 0.5

_JINJA = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)


class Routing:
    """Routes among the tasks of the active generation. Thread-safe.

    It starts from what the task files say (descriptions, probes, golden questions, the wording of variants) and learns
    from what the app tells it. Nothing of that is text: words are hashed under the key of the state folder.

    Args:
        buffer: Has the generation whose tasks compete.
        key: Under which words are hashed.
        state: State folder of the runtime, which the caller has locked; ``None`` keeps everything in memory.
    """

    def __init__(self, buffer: DoubleBuffer, key: bytes, state: Path | None) -> None:
        self._buffer = buffer
        self._key = key
        self._state = state
        self._lock = threading.Lock()
        self._opened: Router | None = None
        self._seeded_for: Catalogue | None = None

    def route(self, text: str, threshold: float = THRESHOLD, fallback: str | None = None) -> Route:
        """See ``Runtime.route``."""
        if not 0.0 <= threshold <= 1.0:
            raise RequestError(f"the threshold is {threshold}", "Give a probability from 0 to 1.")
        _check_text(text)
        catalogue = self._buffer.active.catalogue
        if fallback is not None:
            catalogue.task(fallback)
        return self._router(catalogue).route(text, catalogue.names, threshold, fallback)

    def learn(self, text: str, task: str) -> None:
        """Learn that a text asks for a task; on the disk when this returns.

        Raises:
            UnknownTask: There is none of that name.
            StateNotWritable: It cannot be written.
        """
        self.learn_many([(text, task)])

    def learn_many(self, examples: Iterable[tuple[str, str]]) -> None:
        """`learn` for several, written once."""
        catalogue, taught = self._buffer.active.catalogue, list(examples)
        for text, task in taught:
            _check_text(text)
            catalogue.task(task)
        self._router(catalogue).learn(taught, catalogue.names)

    def feedback(self, route: Route, task: str) -> None:
        """Learn which task a routed text was really for, be it another one or the same."""
        catalogue = self._buffer.active.catalogue
        catalogue.task(task)
        self._router(catalogue).learn([(route.features, task)], catalogue.names)

    @property
    def lessons(self) -> dict[str, int]:
        """How many examples of each task it was taught."""
        return self._router(self._buffer.active.catalogue).lessons

    def erase(self) -> None:
        """Forget all that was taught, here and on the disk; the task files count again."""
        router = self._router(self._buffer.active.catalogue)
        with self._lock:
            router.erase()
            self._seeded_for = None

    def _router(self, catalogue: Catalogue) -> Router:
        with self._lock:
            if self._opened is None:
                # Apps that route nothing do not load it.
                from edge_autoglm.learn.routing.router import Router

                self._opened = Router(self._key, None if self._state is None else self._state / FILE_NAME)
            if self._seeded_for is not catalogue:
                self._opened.seed({task.name: task_texts(task) for task in catalogue.tasks})
                self._seeded_for = catalogue
            return self._opened


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise InputRejected(f"what is to be routed is of type {type(text).__name__}", "Give a text.")


def task_texts(task: Task) -> Sequence[str]:
    """What a task file says of its task's requests."""
    wordings = [_JINJA.sub(" ", source) for variant in task.variants for source in variant.sources().values()]
    examples = [*task.probes, *(question.inputs for question in task.golden)]
    texts = [task.description, re.sub(r"[_-]", " ", task.name), *wordings]
    texts += ["\n".join(inputs.values()) for inputs in examples]
    return [text for text in texts if text.strip()]
