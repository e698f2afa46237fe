"""Who takes part: contestants, the files that they are measured on, and their processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.client import PeerFailure, PeerProcess
from benchmarks.peers.protocol import Options, Settings

OWN = "edge"


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant.

    Attributes:
        name: As tables call it.
        kind: Of `worker.KINDS`.
        model: File or folder below the folder of prepared models.
        bits: Of its weights; what is compared with what.
        options: Of its kind.
        batches: Whether it can run several requests at a time.
    """

    name: str
    kind: str
    model: str
    bits: int
    options: Options = field(default_factory=dict)
    batches: bool = True


ENTRIES = (
    Entry("edge w8a8", OWN, "edge-w8a8", 8),
    Entry("edge int8", OWN, "edge-int8", 8),
    Entry("edge int4", OWN, "edge-int4", 4),
    Entry("llama.cpp Q8_0", "llama_cpp", "Q8_0.gguf", 8),
    Entry("llama.cpp Q4_0", "llama_cpp", "Q4_0.gguf", 4),
    Entry("llama.cpp Q4_K_M", "llama_cpp", "Q4_K_M.gguf", 4),
    Entry("onnxruntime-genai int8", "ort_genai", "genai-int8", 8),
    Entry("onnxruntime-genai int4", "ort_genai", "genai-int4", 4),
    Entry("OpenVINO Q8_0", "openvino", "Q8_0.gguf", 8, batches=False),
    Entry("OpenVINO Q4_0", "openvino", "Q4_0.gguf", 4, batches=False),
    Entry("OpenVINO batching Q8_0", "openvino", "Q8_0.gguf", 8, {"batching": True}),
    Entry("transformers float32", "transformers", "hf", 32, {"dtype": "float32"}),
    Entry("transformers bfloat16", "transformers", "hf", 16, {"dtype": "bfloat16"}),
)


@dataclass(slots=True)
class Contestant:
    """An entry whose process has its model open."""

    entry: Entry
    process: PeerProcess
    about: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the entry."""
        return self.entry.name


@dataclass(frozen=True, slots=True)
class Hall:
    """Where and how all contestants are opened.

    Attributes:
        models: Folder that `models.prepare` filled.
        failed: File -> why it could not be made.
        logs: Folder for what the processes print.
        interpreters: Kind -> Python that has its package; this one where it is not named.
        threads: For everybody.
        limit: Seconds that any answer may take.
    """

    models: Path
    failed: Mapping[str, str]
    logs: Path
    interpreters: Mapping[str, str]
    threads: int
    limit: float

    def open(self, entry: Entry, rows: int, capacity: int, stack: ExitStack) -> Contestant:
        """Start a contestant's process and load its model.

        Raises:
            PeerFailure: Its model was not prepared, its package is missing, or it cannot load the model.
        """
        model = self.models / entry.model
        if not model.exists():
            raise PeerFailure(self.failed.get(entry.model, f"{entry.model} was not prepared"))
        log = self.logs / f"{entry.name.replace(' ', '_')}.log"
        process = PeerProcess(entry.kind, self.interpreters.get(entry.kind, sys.executable), log, self.limit)
        stack.enter_context(closing(process))
        settings = Settings(str(model.resolve()), self.threads, rows, capacity, entry.options)
        return Contestant(entry, process, process.open(settings))


@contextmanager
def opened(
    hall: Hall, entries: Sequence[Entry], rows: int, capacity: int
) -> Iterator[tuple[list[Contestant], dict[str, str]]]:
    """All contestants that can be opened, one after another, and why the others are absent."""
    contestants: list[Contestant] = []
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        for entry in entries:
            try:
                contestants.append(hall.open(entry, rows, capacity, stack))
            except PeerFailure as failure:
                absent[entry.name] = str(failure)
        yield contestants, absent


def choose(names: Sequence[str], entries: Sequence[Entry] = ENTRIES) -> list[Entry]:
    """The entries with these names, in the order of the line-up.

    Raises:
        ValueError: A name is not in the line-up.
    """
    if unknown := set(names) - {entry.name for entry in entries}:
        known = ", ".join(entry.name for entry in entries)
        raise ValueError(f"{', '.join(sorted(unknown))}; known are {known}")
    return [entry for entry in entries if entry.name in names]
