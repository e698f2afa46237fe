"""The public `Runtime`: orchestration only; each step of a request lives in the package that owns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from edge_autoglm.bundle import Bundle
from edge_autoglm.device.threads import default_threads
from edge_autoglm.facade.answering import answer, stream_answer
from edge_autoglm.facade.choosing import Choice, choose
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.conversation import Prompt, encode
from edge_autoglm.facade.learner_handle import LearnerHandle, log_outcome
from edge_autoglm.facade.standby import GenerationBuilder
from edge_autoglm.facade.streams import CompletionStream, ReplyStream
from edge_autoglm.learn.features import ContextValue
from edge_autoglm.learn.learner import Learner
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import SwapOutcome
from edge_autoglm.swap.swapper import Swapper
from edge_autoglm.values import Completion, FeedbackOutcome, Progress, Reply, SamplingParams, silent

Context = Mapping[str, ContextValue]


class Runtime:
    """A language model inside an app: answers, learns from feedback, changes itself without a stop.

    Thread-safe. Made by `Runtime.open`; close it, or use it as a context manager.

    Example:
        >>> with Runtime.open("smollm2.bundle", state="state") as rt:  # doctest: +SKIP
        ...     reply = rt.run("sentiment", {"text": "What a lovely day"})
        ...     rt.feedback(reply.id, 1.0)
    """

    def __init__(self, learner: Learner, builder: GenerationBuilder, first: Generation, config: RuntimeConfig) -> None:
        self._learner = learner
        self._builder = builder
        self._buffer = DoubleBuffer(first)
        self._swapper = Swapper(self._buffer, config.health)
        self._handle = LearnerHandle(learner, builder, self._buffer, self._swapper, config.promote_every)

    @classmethod
    def open(
        cls,
        bundle: str | Path | Bundle,
        state: str | Path | None = None,
        threads: int | None = None,
        *,
        config: RuntimeConfig | None = None,
        progress: Progress = silent,
    ) -> Runtime:
        """Verify a bundle, load it, replay what was learnt, and prefill the resident prefixes.

        Args:
            bundle: Folder written by the exporter.
            state: Folder in which the learner keeps its journal; made where it does not exist. ``None`` keeps what is
                learnt in memory only.
            threads: Of the engine; by default what affinity and cgroup quota allow.
            config: Layout and limits.
            progress: Told of each stage.

        Raises:
            BundleError: The bundle is damaged or foreign.
            StateError: The state folder cannot be used, or another process has it open.
            MissingDependency: The bundle's engine is not installed.
        """
        settings = config or RuntimeConfig()
        opened = Bundle.open(bundle.root if isinstance(bundle, Bundle) else Path(bundle), progress=progress)
        learner = Learner.open(None if state is None else Path(state), seed=settings.seed)
        try:
            builder = GenerationBuilder(learner, settings, threads or default_threads())
            return cls(learner, builder, builder.first(opened, progress), settings)
        except BaseException:
            learner.close()
            raise

    def run(
        self, task: str, inputs: Mapping[str, str], context: Context | None = None, variant: str | None = None
    ) -> Reply:
        """Answer one request of a task.

        Args:
            task: Name of a task of the bundle.
            inputs: Exactly the task's inputs.
            context: What the app knows of the moment (battery, screen ...), for the policy.
            variant: Answer with this variant; ``None`` lets the policy choose.

        Raises:
            PromptError: Unknown task or variant, unusable inputs, a prompt that does not fit.
            RequestError: No KV slot became free in time.
            SwapError: The runtime is closed.
        """
        with self._buffer.lease() as generation:
            choice = self._choose(generation, task, inputs, context, variant)
            answered = answer(generation.model, generation.catalogue.task(task), choice.variant, inputs)
            self._record(choice, task, generation)
        return Reply(
            id=choice.decision.id,
            text=answered.text,
            label=answered.label,
            variant=choice.decision.arm,
            propensity=choice.decision.propensity,
            generation=generation.number,
            usage=answered.usage,
            timings=answered.timings,
            scores=answered.scores,
        )

    def stream(
        self, task: str, inputs: Mapping[str, str], context: Context | None = None, variant: str | None = None
    ) -> ReplyStream:
        """Answer a request of a text task piece by piece; arguments and errors are those of `run`."""
        with ExitStack() as stack:
            generation = stack.enter_context(self._buffer.lease())
            choice = self._choose(generation, task, inputs, context, variant)
            pieces = stream_answer(generation.model, generation.catalogue.task(task), choice.variant, inputs)
            self._record(choice, task, generation)
            return ReplyStream(pieces, stack.pop_all(), generation.number, choice.decision)

    def feedback(self, decision_id: str, reward: float) -> FeedbackOutcome:
        """Take the reward of a reply: durable once this returns.

        Args:
            decision_id: ``Reply.id``; late is fine, also after a restart.
            reward: 0 (useless) to 1 (perfect).

        Raises:
            UnknownDecision: The id was never handed out here, or its record is gone.
            InvalidReward: NaN, infinite or outside 0..1.
            StateNotWritable: The journal cannot be written; nothing was learnt.
        """
        outcome = self._learner.feedback(decision_id, reward)
        if outcome is FeedbackOutcome.APPLIED:
            self._handle.count_reward()
        return outcome

    def generate(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
    ) -> Completion:
        """Continue a text, or answer a conversation.

        Args:
            prompt: A text, taken as it is, or messages, put together by the model's chat template.
            max_new_tokens: Longest answer.
            temperature: 0 is greedy.
            top_k: Keep the k most probable tokens; 0 keeps all.
            top_p: Nucleus sampling.
            stop: Texts that end the answer.
            seed: Makes a sampled answer repeatable.

        Raises:
            RequestError: A setting is out of range, or no KV slot became free in time.
            PromptTooLong: The prompt does not fit a slot.
        """
        params = SamplingParams(max_new_tokens, temperature, top_k, top_p, tuple(stop), seed)
        stream = self.generate_stream(prompt, params)
        for _ in stream:
            pass
        return stream.completion

    def generate_stream(self, prompt: Prompt, params: SamplingParams | None = None) -> CompletionStream:
        """`generate`, piece by piece; a piece never ends inside a character."""
        with ExitStack() as stack:
            generation = stack.enter_context(self._buffer.lease())
            pieces = generation.model.stream(encode(generation.model, prompt), params or SamplingParams())
            return CompletionStream(pieces, stack.pop_all(), generation.number)

    def score(self, prompt: str, labels: Sequence[str]) -> dict[str, float]:
        """Log-probability of each label right after the prompt, over all continuations.

        One forward pass where every label is one token; one more a label otherwise. A space between prompt and label is
        part of the label.
        """
        with self._buffer.lease() as generation:
            model = generation.model
            tokens = [model.label_tokens(prompt, label) for label in labels]
            scores = model.score(model.encode_prompt(prompt), tokens)
        return dict(zip(labels, scores.logprobs, strict=True))

    def swap(self, bundle: str | Path | Bundle) -> SwapOutcome:
        """Build, check and swap in a generation from another bundle; requests go on meanwhile.

        Weights are shared where the engine is the same, so that a new prompt set costs no second model.
        """
        return self.swap_in_background(bundle).result()

    def swap_in_background(self, bundle: str | Path | Bundle) -> Future[SwapOutcome]:
        """`swap`, without waiting for its outcome."""
        path = bundle.root if isinstance(bundle, Bundle) else Path(bundle)
        future = self._swapper.submit(
            lambda active: self._builder.from_bundle(active, self._buffer.next_number(), path)
        )
        future.add_done_callback(log_outcome)
        return future

    @property
    def learner(self) -> LearnerHandle:
        """What has been learnt: ``status``, ``promote``, ``rollback``."""
        return self._handle

    @property
    def generation(self) -> int:
        """Number of the generation that answers new requests."""
        return self._buffer.active.number

    @property
    def tasks(self) -> dict[str, tuple[str, ...]]:
        """The active generation's tasks and their variants."""
        catalogue = self._buffer.active.catalogue
        return {name: tuple(v.name for v in catalogue.task(name).variants) for name in catalogue.names}

    def close(self) -> None:
        """Refuse new requests and free everything when the last running one ends. Idempotent."""
        self._swapper.close()
        self._buffer.close()
        self._learner.close()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _choose(
        self,
        generation: Generation,
        task: str,
        inputs: Mapping[str, str],
        context: Context | None,
        variant: str | None,
    ) -> Choice:
        found = generation.catalogue.task(task)
        return choose(generation.policy, found, inputs, context, variant, self._learner.key)

    def _record(self, choice: Choice, task: str, generation: Generation) -> None:
        self._learner.record(choice.decision, task, choice.arms, choice.features, generation.number)
