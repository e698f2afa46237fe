"""Settings of a runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edge_autoglm.errors import RequestError
from edge_autoglm.knowledge.embedding import Embedder
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.rewards.price import FREE, RewardPrice
from edge_autoglm.swap.policy import SwapPolicy
from edge_autoglm.swap.store.store import BUDGET_BYTES, KEEP

_IN_FLIGHT = 32


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """How a `Runtime` is laid out; the defaults suit a two-core device.

    Attributes:
        tasks: Those that the app uses: only their variants get resident prefixes, and only they can be run. ``None``
            takes every task of the bundle.
        slots: Requests that run at the same time; an idle slot takes no memory.
        context_length: Tokens a slot can hold, prompt and answer together; cut to what the model was made for.
        seed: Of the policy's draws and of sampled requests without a seed of their own; ``None`` draws one.
        promote_every: After so many rewards the learnt policy is checked and swapped in by itself; ``None`` leaves that
            to ``Runtime.learner.promote``.
        slot_timeout: Seconds that a request waits for a slot before it is refused.
        max_waiting: Requests of its own class or a higher one that may wait before one more is refused at once.
        prefill_chunk: Tokens of a prompt that run in one step.
        policy: What chooses among variants and learns: a name of ``edge_autoglm.make_policy``, or a policy of the app's
            making, whose settings are taken and not what it has learnt.
        reward_price: Taken off each reward for the answer's latency and tokens.
        forbidden_features: What the policy may not see of a request, such as ``("words", "hour", "app:age")``; names as
            ``edge_autoglm.learn.context.featurise`` gives them.
        speculate: Verify several tokens a step by prompt look-up, on engines where that cannot change an answer.
        kv_cache_bytes: KV that is held beyond the requests that made it: resident prefixes and conversations.
        response_cache_bytes: Answers to exact repetitions of deterministic requests; 0 keeps none.
        keep_generations: How many generations the state folder keeps, for a restart and for going back; the active one
            and the last good one before it in any case.
        generation_bytes: What they may take there together; files that several have in common count once.
        memory_budget: Bytes that engine, KV slots and caches may take together; checked before anything is allocated.
            ``None`` takes what the container grants.
        trusted_keys: Public keys (``edge-autoglm sign`` prints them), one of which must have signed whatever bundle is
            opened; ``None`` takes unsigned ones. Needs the extra ``signing``.
        swap_policy: What a standby generation must show at each stage before and after it goes live; or a policy file.
        embedder: Turns texts into vectors, so that examples, passages and facts are found by meaning too.
        example_bytes: Solved examples that are kept, as UTF-8; the oldest make room.
        document_bytes: Documents likewise.
        memory_bytes: Turns of conversations likewise, and facts; for each of the two.
        experiments: A file of experiments, followed while the runtime is open; see ``facade/experiments_file.py``.
    """

    tasks: tuple[str, ...] | None = None
    slots: int = 4
    context_length: int = 2048
    seed: int | None = None
    promote_every: int | None = 100
    slot_timeout: float = 60.0
    max_waiting: int = 256
    prefill_chunk: int = 256
    policy: str | VariantPolicy = "mixture"
    reward_price: RewardPrice = FREE
    forbidden_features: tuple[str, ...] = ()
    speculate: bool = True
    kv_cache_bytes: int = 256 << 20
    response_cache_bytes: int = 1 << 20
    keep_generations: int = KEEP
    generation_bytes: int = BUDGET_BYTES
    memory_budget: int | None = None
    trusted_keys: tuple[str, ...] | None = None
    swap_policy: SwapPolicy | str | Path = field(default_factory=SwapPolicy)
    experiments: str | Path | None = None
    embedder: Embedder | None = None
    example_bytes: int = 8 << 20
    document_bytes: int = 64 << 20
    memory_bytes: int = 16 << 20
    stages: SwapPolicy = field(init=False, repr=False)
    """``swap_policy``, read where that is a file."""

    def __post_init__(self) -> None:
        self._check(1, "slots", "context_length", "promote_every", "max_waiting", "memory_budget", "keep_generations")
        self._check(1, "example_bytes", "document_bytes", "memory_bytes")
        self._check(2, "prefill_chunk")
        self._check(0, "kv_cache_bytes", "response_cache_bytes", "generation_bytes")
        if not self.slot_timeout > 0:
            raise RequestError(f"RuntimeConfig.slot_timeout is {self.slot_timeout}", "Give seconds above 0.")
        given = self.swap_policy  # a file that is wrong is told here, before anything is opened
        object.__setattr__(self, "stages", given if isinstance(given, SwapPolicy) else SwapPolicy.load(given))

    @property
    def in_flight(self) -> int:
        """Requests of one call that run or wait at a time: enough for all slots, few enough to leave others the queue.

        Never more than the queue takes, so that a call is not refused for its own requests.
        """
        return min(_IN_FLIGHT, self.slots + self.max_waiting)

    def _check(self, least: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and value < least:
                raise RequestError(f"RuntimeConfig.{name} is {value}", f"Give {least} or more.")
