"""Settings of a runtime."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_autoglm.errors import RequestError
from edge_autoglm.swap.health import HealthPolicy


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """How a `Runtime` is laid out; the defaults suit a two-core device.

    Attributes:
        tasks: Those that the app uses: only their variants get resident prefixes, and only they can be run. ``None``
            takes every task of the bundle.
        slots: Requests that can hold KV state at the same time.
        context_length: Tokens a slot can hold, prompt and answer together; cut to what the model was made for.
        seed: Of the policy's draws and of sampled requests without a seed of their own; ``None`` draws one.
        promote_every: After so many rewards the learnt policy is checked and swapped in by itself; ``None`` leaves that
            to ``Runtime.learner.promote``.
        slot_timeout: Seconds that a request waits for a slot before it is refused.
        health: What a standby generation must pass.
    """

    tasks: tuple[str, ...] | None = None
    slots: int = 4
    context_length: int = 2048
    seed: int | None = None
    promote_every: int | None = 100
    slot_timeout: float = 60.0
    health: HealthPolicy = field(default_factory=HealthPolicy)

    def __post_init__(self) -> None:
        for name in ("slots", "context_length", "promote_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RequestError(f"RuntimeConfig.{name} is {value}", "Give 1 or more.")
        if not self.slot_timeout > 0:
            raise RequestError(f"RuntimeConfig.slot_timeout is {self.slot_timeout}", "Give seconds above 0.")
