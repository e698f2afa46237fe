"""The public `Runtime`: orchestration only; each step of a request lives in the package that owns it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edge_autoglm.bundle import Bundle
from edge_autoglm.device.threads import default_threads
from edge_autoglm.errors import SwapError
from edge_autoglm.facade.asked import Asked, Context
from edge_autoglm.facade.choosing import Describer
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.conversation import Prompt
from edge_autoglm.facade.device_choice import AUTO, order_of
from edge_autoglm.facade.experiments_handle import ExperimentsHandle
from edge_autoglm.facade.free_requests import FreeRequests
from edge_autoglm.facade.futures import in_order, wait_for
from edge_autoglm.facade.kv_pack import PrefixPack
from edge_autoglm.facade.learner_handle import LearnerHandle, log_outcome
from edge_autoglm.facade.observing import Observer
from edge_autoglm.facade.on_device import OnDevice
from edge_autoglm.facade.opening import check_brought, first_generation, open_store
from edge_autoglm.facade.response_cache import ResponseCache
from edge_autoglm.facade.sampling import Samples
from edge_autoglm.facade.shots import Retriever
from edge_autoglm.facade.standby import GenerationBuilder
from edge_autoglm.facade.stats import RuntimeStats
from edge_autoglm.facade.streams import CompletionStream, ReplyStream
from edge_autoglm.facade.task_requests import TaskRequests
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.rewards.signals import Signal, rewards_of
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.sampling_params import SamplingParams, SamplingSettings, sampling_params
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import SwapOutcome
from edge_autoglm.swap.store.store import GenerationStore
from edge_autoglm.swap.swapper import Swapper
from edge_autoglm.swap.ticket import SwapTicket
from edge_autoglm.swap.traffic import Traffic
from edge_autoglm.values import Completion, FeedbackOutcome, Priority, Progress, Reply, silent

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Runtime(OnDevice):
    """A language model inside an app: answers, learns from feedback, changes itself without a stop.

    Thread-safe. Made by `Runtime.open`; close it, or use it as a context manager.

    Example:
        >>> with Runtime.open("smollm2.bundle", state="state") as rt:  # doctest: +SKIP
        ...     reply = rt.run("sentiment", {"text": "What a lovely day"})
        ...     rt.feedback(reply.id, 1.0)
    """

    def __init__(
        self,
        learner: Learner,
        builder: GenerationBuilder,
        first: Generation,
        pack: PrefixPack,
        config: RuntimeConfig,
        store: GenerationStore | None = None,
        state: Path | None = None,
    ) -> None:
        self._learner = learner
        self._builder = builder
        self._pack = pack
        self._buffer = DoubleBuffer(first, 0 if store is None else store.last_number)
        traffic = Traffic()
        self._swapper = Swapper(self._buffer, config.stages, traffic, store)
        self._observer = Observer(traffic, self._swapper)
        self._handle = LearnerHandle(learner, builder, self._buffer, self._swapper, config.promote_every, store)
        self._cache = ResponseCache(config.response_cache_bytes)
        self._experiments = ExperimentsHandle(learner, config.experiments, config.seed)
        describer = Describer(learner.key, config.forbidden_features, self._experiments)
        self._free = FreeRequests(self._buffer, config.in_flight)
        super().__init__(state, config, self._buffer, self._free, self._experiments, learner.key)
        retriever = Retriever(self._stores)
        self._tasks = TaskRequests(self._buffer, learner, self._cache, describer, self._observer, retriever)
        self._in_flight = config.in_flight

    @classmethod
    def open(
        cls,
        bundle: str | Path | Bundle,
        state: str | Path | None = None,
        threads: int | None = None,
        *,
        device: str = AUTO,
        config: RuntimeConfig | None = None,
        progress: Progress = silent,
    ) -> Runtime:
        """Replay what was learnt, verify and load the last good generation, and prefill the resident prefixes.

        Args:
            bundle: Folder written by the exporter. Where the state folder has not seen it before, it is used; otherwise
                what went live last, be it this bundle or what was swapped in since.
            state: Folder for what is learnt and for the generations that went live; made where it does not exist.
                ``None`` keeps everything in memory only.
            threads: Of an engine on the CPU; by default what affinity and cgroup quota allow.
            device: Where to run: ``cpu``; ``cuda``, ONNX Runtime on an NVIDIA GPU; ``tensorrt``; or ``auto``, TensorRT
                where it can run the bundle, else CUDA, else the CPU: ``stats.placement`` says which, and why. The same
                goes for every bundle that is swapped in.
            config: Layout and limits.
            progress: Told of each stage.

        Raises:
            BundleError: The bundle is damaged or foreign, and nothing is kept to come up on instead.
            StateError: The state folder cannot be used, or another process has it open.
            DeviceUnavailable: The device that was asked for cannot run the bundle; the error says what is missing.
            MissingDependency: The bundle's engine is not installed.
        """
        order_of(device)
        settings = config or RuntimeConfig()
        path = bundle.root if isinstance(bundle, Bundle) else Path(bundle)
        check_brought(path, state)
        policy = make_policy(settings.policy) if isinstance(settings.policy, str) else settings.policy
        with ExitStack() as undone:
            learner = Learner.open(state, settings.seed, policy, settings.reward_price, progress=progress)
            undone.callback(learner.close)
            count = threads or default_threads()
            folder = None if state is None else Path(state)
            pack = PrefixPack(folder, count)
            builder = GenerationBuilder(learner, settings, count, pack, device)
            store = open_store(state, settings)
            first = first_generation(path, store, builder, progress)
            undone.callback(first.retire)
            runtime = cls(learner, builder, first, pack, settings, store, folder)
            undone.pop_all()
            return runtime

    def run(
        self,
        task: str,
        inputs: Mapping[str, str],
        context: Context | None = None,
        variant: str | None = None,
        *,
        session: str | None = None,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
    ) -> Reply:
        """Answer one request of a task.

        Args:
            task: Name of a task of the bundle.
            inputs: Exactly the task's inputs.
            context: What the app knows of the moment (battery, screen ...), for the policy.
            variant: Answer with this variant; ``None`` lets the policy choose.
            session: Whose request it is, such as a conversation's id. All of one session get the same side of a canary
                or an experiment; a keyed hash of it is all that is kept, and only where an experiment drew the variant.
            priority: A higher class is served first, and waits for no more than the step that runs.
            deadline: Seconds in which it has to be answered; ``None`` for no limit.

        Raises:
            PromptError: Unknown task or variant, unusable inputs, a prompt that does not fit.
            Overloaded: ``RuntimeConfig.max_waiting`` requests wait already.
            DeadlineExceeded: It was not answered in time.
            RequestError: No KV slot became free in time.
            SwapError: The runtime is closed.
        """
        return wait_for(self._tasks.submit(Asked(task, inputs, context, variant, session, Urgency(priority, deadline))))

    def submit(
        self,
        task: str,
        inputs: Mapping[str, str],
        context: Context | None = None,
        variant: str | None = None,
        *,
        session: str | None = None,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
    ) -> Future[Reply]:
        """`run`, without waiting.

        Unusable requests and a full queue are refused at once. Cancelling the future frees the KV slot. In an event
        loop: ``await asyncio.wrap_future(rt.submit(...))``. Callbacks of the future must not wait for other requests.
        """
        return self._tasks.submit(Asked(task, inputs, context, variant, session, Urgency(priority, deadline)))

    def run_many(
        self,
        task: str,
        inputs: Iterable[Mapping[str, str]],
        context: Context | None = None,
        variant: str | None = None,
        *,
        session: str | None = None,
        priority: Priority = Priority.NORMAL,
    ) -> list[Reply]:
        """`run` for many inputs of one task, several at a time; replies in the order of the inputs."""
        urgency = Urgency(priority)

        def submit(one: Mapping[str, str]) -> Future[Reply]:
            return self._tasks.submit(Asked(task, one, context, variant, session, urgency))

        return in_order(inputs, submit, self._in_flight)

    def stream(
        self,
        task: str,
        inputs: Mapping[str, str],
        context: Context | None = None,
        variant: str | None = None,
        *,
        session: str | None = None,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
    ) -> ReplyStream:
        """Answer a request of a text task piece by piece, for ``for`` or ``async for``; see `run` for the rest."""
        return self._tasks.stream(Asked(task, inputs, context, variant, session, Urgency(priority, deadline)))

    def feedback(self, decision_id: str, signal: Signal, source: str | None = None) -> FeedbackOutcome:
        """Take what a user said or did about a reply: durable once this returns.

        Args:
            decision_id: ``Reply.id``; late is fine, also after a restart.
            signal: 0 (useless) to 1 (perfect), ``Thumbs``, ``Stars``, ``Preferred`` over another reply; or what was
                done with the answer: ``Accepted``, ``Edited``, ``Retried``, which count for less. One of each a reply.
            source: Who gave it, so that no one source decides alone; only a keyed hash of it is kept.

        Raises:
            UnknownDecision: The id was never handed out here, or its record is gone.
            InvalidReward: A number is NaN, infinite or out of range.
            StateNotWritable: The journal cannot be written; nothing was learnt.
        """
        for reward in rewards_of(decision_id, signal):
            self._tasks.settle(reward.id)
        outcome = self._learner.feedback(decision_id, signal, source)
        if outcome is FeedbackOutcome.APPLIED:
            self._observer.rewarded(decision_id, signal)
            self._handle.count_reward()
        return outcome

    def generate(
        self,
        prompt: Prompt,
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
        **settings: Unpack[SamplingSettings],
    ) -> Completion:
        """Continue a text, or answer a conversation; one that goes on is continued from its last turn.

        Args:
            prompt: A text, taken as it is, or messages, put together by the model's chat template.
            priority: See `run`.
            deadline: See `run`.
            settings: Fields of `SamplingParams`: ``max_new_tokens``, ``temperature``, ``top_p``, ``stop``, ``seed``,
                ``constraint`` and others.

        Raises:
            RequestError: A setting is unknown or out of range, or no KV slot became free in time.
            PromptTooLong: The prompt does not fit a slot.
            Overloaded: See `run`.
            DeadlineExceeded: See `run`.
        """
        return wait_for(self.submit_generate(prompt, priority=priority, deadline=deadline, **settings))

    def submit_generate(
        self,
        prompt: Prompt,
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
        **settings: Unpack[SamplingSettings],
    ) -> Future[Completion]:
        """`generate`, without waiting; see `submit`."""
        return self._free.submit(prompt, sampling_params(settings), Urgency(priority, deadline))

    def generate_stream(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
    ) -> CompletionStream:
        """`generate`, piece by piece, for ``for`` or ``async for``; a piece never ends inside a character."""
        return self._free.stream(prompt, params or SamplingParams(), Urgency(priority, deadline))

    def sample(
        self,
        prompt: Prompt,
        samples: int,
        parse: Callable[[str], Any] | None = None,
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
        **settings: Unpack[SamplingSettings],
    ) -> Samples:
        """Answer a prompt several times, and pick the best answer, or the one that most of them agree on.

        Args:
            prompt: See `generate`; it is computed once.
            samples: How many; ``temperature`` must be above 0 for more than one.
            parse: From a text to the answer in it (a number, a JSON value ...): the majority of what the samples parse
                to wins (self-consistency, Wang et al. 2022). ``None`` or a ``ValueError`` is a vote for nothing.
            priority: See `run`.
            deadline: Of each sample; see `run`.
            settings: See `generate`; with a ``seed``, the same samples each time.
        """
        return self._free.sample(prompt, sampling_params(settings), samples, parse, Urgency(priority, deadline))

    def score(
        self,
        prompt: str,
        labels: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
    ) -> dict[str, float]:
        """Log-probability of each label right after the prompt, over all continuations.

        One forward pass where at most one label is longer than a token; one more for each further one. A space between
        prompt and label is part of the label.
        """
        return wait_for(self._free.submit_score(prompt, labels, Urgency(priority, deadline)))

    def score_many(
        self, prompts: Iterable[str], labels: Sequence[str], *, priority: Priority = Priority.NORMAL
    ) -> list[dict[str, float]]:
        """`score` for many prompts, several at a time; in the order of the prompts."""
        urgency = Urgency(priority)
        return in_order(prompts, lambda prompt: self._free.submit_score(prompt, labels, urgency), self._in_flight)

    def swap(self, bundle: str | Path | Bundle) -> SwapOutcome:
        """Take a generation from another bundle through the stages of ``RuntimeConfig.swap_policy``; requests go on.

        Weights are shared where the engine is the same: prompts cost no second model. Interrupted, it is cancelled.
        """
        ticket = self.swap_in_background(bundle)
        try:
            return ticket.result()
        except BaseException:
            ticket.cancel()
            raise

    def swap_in_background(self, bundle: str | Path | Bundle) -> SwapTicket:
        """`swap`, without waiting: the ticket tells the stage and the outcome, and can be cancelled."""
        path = bundle.root if isinstance(bundle, Bundle) else Path(bundle)
        ticket = self._swapper.submit(
            lambda active: self._builder.from_bundle(active, self._buffer.next_number(), path, self._held())
        )
        ticket.add_done_callback(log_outcome)
        return ticket

    @property
    def swap_outcomes(self) -> tuple[SwapOutcome, ...]:
        """What became of the newest attempts to change the active generation, rollbacks by themselves included."""
        return self._swapper.outcomes

    @property
    def learner(self) -> LearnerHandle:
        """What has been learnt: ``status``, ``promote``, ``rollback``."""
        return self._handle

    @property
    def generation(self) -> int:
        """Number of the generation that answers new requests."""
        return self._buffer.active.number

    @property
    def stats(self) -> RuntimeStats:
        """Where the active generation runs, what its caches hold and saved, and what the guard refused."""
        model = self._buffer.active.model
        return RuntimeStats(model.kv.stats, self._cache.stats, model.placement, self._tasks.guard.stats)

    @property
    def tasks(self) -> dict[str, tuple[str, ...]]:
        """The active generation's tasks and their variants."""
        return {task.name: tuple(v.name for v in task.variants) for task in self._buffer.active.catalogue.tasks}

    def close(self) -> None:
        """Refuse new requests and free everything when the last running one ends. Idempotent."""
        self._swapper.close()
        self._save_prefixes()
        self._buffer.close()
        self._stores.close()
        self._learner.close()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _held(self) -> list[Generation]:
        """What stays in memory beside the active generation and a candidate."""
        previous = self._buffer.previous
        return [*self._buffer.draining(), *([] if previous is None else [previous])]

    def _save_prefixes(self) -> None:
        with suppress(SwapError), self._buffer.lease() as generation:  # closed already: they are saved
            self._pack.save_soon(generation.model)
            self._pack.wait()
