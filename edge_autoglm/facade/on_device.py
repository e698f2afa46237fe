"""What a `Runtime` offers beside requests: examples, documents, memory, routes, tools, experiments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.examples import Examples
from edge_autoglm.facade.experiments_handle import ExperimentsHandle
from edge_autoglm.facade.free_requests import FreeRequests
from edge_autoglm.facade.memory.handle import Memory
from edge_autoglm.facade.memory.settings import MemorySettings
from edge_autoglm.facade.routing import THRESHOLD, Routing
from edge_autoglm.facade.stores import Stores
from edge_autoglm.facade.tools.requests import ToolRequests
from edge_autoglm.swap.buffer import DoubleBuffer

if TYPE_CHECKING:
    from edge_autoglm.facade.memory.conversation import Conversation
    from edge_autoglm.knowledge.documents import DocumentStore
    from edge_autoglm.learn.routing.router import Route


class OnDevice:
    """The part of a `Runtime` by which an app tells it things, and looks at what it was told.

    Args:
        state: State folder, which the caller has locked; ``None`` keeps everything in memory.
        config: Budgets and embedder.
        buffer: Has the active generation.
        free: Answers in conversations.
        experiments: Of the runtime.
        key: Under which words are hashed.
    """

    def __init__(
        self,
        state: Path | None,
        config: RuntimeConfig,
        buffer: DoubleBuffer,
        free: FreeRequests,
        experiments: ExperimentsHandle,
        key: bytes,
    ) -> None:
        self._stores = Stores(state, config)
        self._examples = Examples(self._stores, buffer)
        self._memory = Memory(self._stores, free, buffer)
        self._routing = Routing(buffer, key, state)
        self._tools = ToolRequests(buffer)
        self._experiments = experiments

    @property
    def examples(self) -> Examples:
        """Solved examples, which variants with the field ``shots`` show: ``add``, ``list``, ``remove``, ``erase``."""
        return self._examples

    @property
    def documents(self) -> DocumentStore:
        """Documents, which variants with the field ``passages`` show: ``add``, ``search``, ``list``, ``erase``.

        Raises:
            MissingDependency: This Python's SQLite has no full-text search.
            StateError: The file is damaged or cannot be used.
        """
        return self._stores.open().documents

    @property
    def memory(self) -> Memory:
        """What conversations left behind: ``conversations``, ``facts``, ``erase``."""
        return self._memory

    @property
    def tools(self) -> ToolRequests:
        """Answers with the help of the app's functions: ``run``; what they were called for: ``stats``."""
        return self._tools

    @property
    def experiments(self) -> ExperimentsHandle:
        """Comparisons of variants (A/B): ``set``, ``remove``, ``list``, ``results``."""
        return self._experiments

    @property
    def router(self) -> Routing:
        """What `route` learns: ``learn``, ``learn_many``, ``lessons``, ``erase``."""
        return self._routing

    def conversation(
        self,
        name: str,
        system: str | None = None,
        *,
        budget_tokens: int | None = None,
        summaries: bool = True,
        summary_tokens: int = 96,
        keep_turns: int = 2,
        facts: int = 2,
    ) -> Conversation:
        """A conversation that is remembered: kept in the state folder, and within a token budget.

        Args:
            name: Under which it is kept; the same name goes on with what was said before, also after a restart.
            system: System prompt; ``None`` keeps the one that it has.
            budget_tokens: Of a prompt; by default what a KV slot leaves beside the answer.
            summaries: When turns no longer fit, the model sums them up; else they are left out.
            summary_tokens: Length of a summary.
            keep_turns: How many of the last turns are never summed up, where they fit.
            facts: How many of ``memory.facts`` that match a text best are shown with it; 0 for none.

        Raises:
            InputRejected: The name is empty.
            RequestError: A setting is out of range, or the conversation is in use with other ones.
        """
        settings = MemorySettings(budget_tokens, summaries, summary_tokens, keep_turns, facts)
        return self._memory.open(name, system, settings)

    def route(self, text: str, *, threshold: float = THRESHOLD, fallback: str | None = None) -> Route:
        """Which of the app's tasks a text asks for, by a small classifier; no pass of the model is run.

        Args:
            text: That a user typed.
            threshold: Probability below which no task is taken.
            fallback: Task for such a text; ``None`` leaves ``Route.task`` empty.

        Raises:
            UnknownTask: The fallback is none of the app's tasks.
            RequestError: The threshold is out of range.
            StateError: What was learnt cannot be read.
        """
        return self._routing.route(text, threshold, fallback)

    def route_feedback(self, route: Route, task: str) -> None:
        """Learn which task a routed text was really for, be it another one or the same; on the disk when this returns.

        Raises:
            UnknownTask: There is none of that name.
            StateNotWritable: It cannot be written.
        """
        self._routing.feedback(route, task)
