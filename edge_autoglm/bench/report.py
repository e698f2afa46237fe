"""The result of a benchmark: everything that was measured, and the figures made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_autoglm import Bundle
from edge_autoglm.bench.config import BenchConfig
from edge_autoglm.bench.host import Host
from edge_autoglm.bench.loading import Load
from edge_autoglm.bench.notes import notes
from edge_autoglm.bench.samples import Round, all_requests
from edge_autoglm.bench.summary import PERCENTILE_DEFINITION, Summary, summarize
from edge_autoglm.device.placement import Placement

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """Which bundle was measured.

    Attributes:
        path: As it was named.
        digest: Changes with any file of it.
        model: Its name.
        parameters: Number of weights.
        precision: Of the weights.
        kv_type: Of the KV cache.
        size: Bytes of all files.
    """

    path: str
    digest: str
    model: str
    parameters: int
    precision: str
    kv_type: str
    size: int

    @classmethod
    def of(cls, bundle: Bundle, path: str) -> BundleFacts:
        """Facts of an opened bundle."""
        manifest = bundle.manifest
        engine = manifest.engines[0]
        return cls(
            path=path,
            digest=bundle.digest,
            model=manifest.model.name,
            parameters=manifest.model.parameters,
            precision=engine.precision,
            kv_type=engine.kv_type,
            size=sum(entry.size for entry in manifest.files),
        )


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """Most bytes that the process had resident until three moments; ``None`` where the system does not say.

    Attributes:
        before: Until the runtime was opened: Python and its packages.
        loaded: Until it was open.
        end: Until the last answer.
    """

    before: int | None
    loaded: int | None
    end: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """One benchmark.

    Attributes:
        config: What was asked for.
        bundle: Which bundle.
        host: Where.
        threads: Of an engine on the CPU.
        placement: Where the engine ran.
        load: Opening the runtime.
        memory: High-water marks.
        warmup: Rounds before those that count.
        rounds: Those that count.
    """

    config: BenchConfig
    bundle: BundleFacts
    host: Host
    threads: int
    placement: Placement
    load: Load
    memory: PeakMemory
    warmup: tuple[Round, ...]
    rounds: tuple[Round, ...]

    def figures(self) -> dict[str, Summary | None]:
        """Summaries over all measured rounds; times in seconds, speeds in tokens a second.

        ``None`` where nothing of the kind was measured: an answer of one token has no inter-token latency.
        """
        requests = all_requests(self.rounds)
        speeds = [request.decode_speed for request in requests]
        samples = {
            "ttft": [request.ttft for request in requests],
            "inter_token": [gap for request in requests for gap in request.gaps],
            "end_to_end": [request.total for request in requests],
            "queue": [request.queue for request in requests],
            "prefill_speed": [request.prefill_speed for request in requests],
            "decode_speed": [speed for speed in speeds if speed is not None],
            "throughput": [each.throughput for each in self.rounds],
        }
        return {name: summarize(values) for name, values in samples.items()}

    def notes(self) -> tuple[str, ...]:
        """What a reader must know before quoting the figures, in sentences."""
        return notes(self.config, self.host, all_requests(self.rounds))

    def to_json(self) -> Mapping[str, Any]:
        """Everything, every sample included, for a JSON file."""
        return {
            "schema_version": SCHEMA_VERSION,
            "config": {**asdict(self.config), "threads": self.threads, "decoding": "greedy"},
            "bundle": asdict(self.bundle),
            "host": asdict(self.host),
            "placement": asdict(self.placement),
            "load": asdict(self.load),
            "peak_memory": asdict(self.memory),
            "percentiles": PERCENTILE_DEFINITION,
            "figures": {name: summary and asdict(summary) for name, summary in self.figures().items()},
            "notes": list(self.notes()),
            "warmup": [asdict(each) for each in self.warmup],
            "rounds": [asdict(each) for each in self.rounds],
        }
