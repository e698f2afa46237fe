"""A generation: everything that answers a request, built once and never changed while requests run on it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from edge_autoglm.bundle import Bundle
from edge_autoglm.errors import SwapError
from edge_autoglm.learn.policy import FrozenPolicy
from edge_autoglm.prompts.catalogue import Catalogue
from edge_autoglm.runtime.model import LanguageModel


@dataclass(frozen=True, slots=True)
class Resident:
    """The static part of a variant's prompt, whose KV a generation holds in memory.

    Attributes:
        prefix: Token ids; empty if no two renderings begin alike.
        nbytes: KV held for them; variants whose prompts begin alike share it.
    """

    prefix: tuple[int, ...]
    nbytes: int

    @property
    def tokens(self) -> int:
        """Prompt tokens that a request of the variant need not compute."""
        return len(self.prefix)


class Generation:
    """Model, resident prefixes, prompts and frozen policy that go live, and come back out, together.

    A generation owns its ``model``. Requests hold leases; ``retire`` says that no new one will come, and the model is
    closed, exactly once, when the last lease ends. Thread-safe.

    Args:
        number: Increases from generation to generation of a runtime; never reused.
        bundle: Whose engine and prompts these are.
        model: Closed by this generation; its weights may be shared with other generations' forks.
        catalogue: Tasks and their variants.
        policy: Picks the variant of a request.
        reason: Why it was built, for people.
        resident: By ``(task, variant)``.
    """

    def __init__(
        self,
        number: int,
        bundle: Bundle,
        model: LanguageModel,
        catalogue: Catalogue,
        policy: FrozenPolicy,
        reason: str,
        resident: Mapping[tuple[str, str], Resident],
    ) -> None:
        self.number: Final = number
        self.bundle: Final = bundle
        self.model: Final = model
        self.catalogue: Final = catalogue
        self.policy: Final = policy
        self.reason: Final = reason
        self.resident: Final[Mapping[tuple[str, str], Resident]] = MappingProxyType(dict(resident))
        self._lock = threading.Lock()
        self._leases = 0
        self._retired = False
        self._freed = False

    @property
    def bundle_digest(self) -> str:
        """Of the bundle's files."""
        return self.bundle.digest

    @property
    def leases(self) -> int:
        """Requests that run on it now."""
        return self._leases

    @property
    def freed(self) -> bool:
        """Whether its model is closed."""
        return self._freed

    def join(self, serving: Generation) -> None:
        """Before users' requests come: over the same weights, they decode in one batch with those of ``serving``.

        Args:
            serving: Leased by the caller.
        """
        if self.model.shares_weights(serving.model):
            self.model.join(serving.model)

    def acquire(self) -> None:
        """Take a lease; ``DoubleBuffer.lease`` does so for requests.

        Raises:
            SwapError: It is retired.
        """
        with self._lock:
            if self._retired:
                raise SwapError(f"generation {self.number} is retired", "Lease the active generation from its buffer.")
            self._leases += 1

    def release(self) -> None:
        """End a lease; the last one of a retired generation frees it.

        Raises:
            SwapError: No lease is held.
        """
        with self._lock:
            if self._leases == 0:
                raise SwapError(f"generation {self.number} has no lease to end", "Release once for each acquire.")
            self._leases -= 1
            last = self._ends()
        if last:
            self.model.close()

    def retire(self) -> None:
        """Refuse new leases and free the model once nobody holds one; idempotent."""
        with self._lock:
            self._retired = True
            last = self._ends()
        if last:
            self.model.close()

    def _ends(self) -> bool:
        """True for one caller only: the one that has to close the model. The lock is held."""
        if not self._retired or self._leases or self._freed:
            return False
        self._freed = True
        return True
