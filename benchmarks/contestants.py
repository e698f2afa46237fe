"""What the precision table compares: engines that predict tokens, ours and other people's, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from edge_autoglm import Bundle, RuntimeConfig
from edge_autoglm.device.threads import default_threads
from edge_autoglm.facade.loading import load_model
from edge_autoglm.runtime.engine import Chunk, Logits


class Contestant(Protocol):
    """One model at one precision, with room for one token sequence."""

    @property
    def name(self) -> str:
        """As the table calls it."""
        ...

    @property
    def nbytes(self) -> int:
        """Size on disk of weights and graph."""
        ...

    def logits(self, tokens: Sequence[int]) -> Logits:
        """Logits ``[len(tokens), vocab]`` of a sequence that is run from its beginning."""
        ...

    def prefill(self, tokens: Sequence[int]) -> None:
        """Run a prompt from its beginning, as far as the logits behind its last token."""
        ...

    def decode(self, token: int) -> None:
        """Append one token, as far as the logits behind it."""
        ...

    def close(self) -> None:
        """Free the memory."""
        ...


class OwnEngine:
    """The engine of a bundle. Implements `Contestant`.

    Args:
        name: As the table calls it.
        bundle: The bundle.
        capacity: Tokens of the longest sequence.
    """

    def __init__(self, name: str, bundle: Bundle, capacity: int) -> None:
        self.name = name
        [entry] = bundle.manifest.engines
        self.nbytes = folder_size(bundle.path(entry.graph).parent)
        config = RuntimeConfig(slots=1, context_length=capacity)
        self._engine = load_model(bundle, default_threads(), config).engine

    def logits(self, tokens: Sequence[int]) -> Logits:
        """See `Contestant`."""
        return self._run(tokens, range(len(tokens)))

    def prefill(self, tokens: Sequence[int]) -> None:
        """See `Contestant`."""
        self._run(tokens, [len(tokens) - 1])

    def decode(self, token: int) -> None:
        """See `Contestant`."""
        self._engine.forward([Chunk(0, [token])])

    def close(self) -> None:
        """See `Contestant`."""
        self._engine.close()

    def _run(self, tokens: Sequence[int], positions: Sequence[int]) -> Logits:
        self._engine.truncate(0, 0)
        [logits] = self._engine.forward([Chunk(0, tokens, positions)])
        return logits


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
