"""One campaign on a GPU, from its line-up to its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import record
from benchmarks.gpu.costs import GpuCosts
from benchmarks.gpu.rounds import Case, Findings, Schedule, run
from benchmarks.peers.client import PeerFailure
from benchmarks.peers.lineup import Contestant, Entry, Hall, opened
from benchmarks.peers.prompts import PromptSource
from benchmarks.peers.weight_bytes import kv_of_a_token, read_a_token
from edge_autoglm.device.accelerators import Accelerators
from edge_autoglm.device.threads import default_threads
from edge_autoglm.export.texts import calibration_text, heldout_text
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.text.tokenizer import Tokenizer

PREFIX = "gpu_"
_WARM_UP = 1


@dataclass(frozen=True, slots=True)
class Campaign:
    """What the command line asks for.

    Attributes:
        model: Its name, for the record's.
        tokenizer: Its file.
        entries: Who takes part.
        interpreters: Kind -> Python that has its package.
        cases: What is measured.
        rounds: That count.
        new_tokens: Of a row.
        limit: Seconds that any answer may take.
        records: Folder for the record.
    """

    model: str
    tokenizer: Path
    entries: Sequence[Entry]
    interpreters: Mapping[str, str]
    cases: Sequence[Case]
    rounds: int
    new_tokens: int
    limit: float
    records: Path


def measure(campaign: Campaign, gpu: Accelerators | None, console: Console) -> Path:
    """Measure everything and write the record; its path.

    Args:
        campaign: What to measure.
        gpu: What there is, for the record; ``None`` measures contestants that need none, as tests do.
        console: For progress.

    Raises:
        PeerFailure: No contestant can be opened.
        EdgeAutoGLMError: The GPU cannot be measured.
    """
    capacity = max(case.prompt_tokens for case in campaign.cases) + campaign.new_tokens
    rows = max(case.rows for case in campaign.cases)
    with TemporaryDirectory() as logs, _costs(gpu) as costs:
        hall = Hall(Path("/"), {}, Path(logs), campaign.interpreters, default_threads(), campaign.limit)
        console.print(f"opening {len(campaign.entries)} contestants, one after another")
        with opened(hall, campaign.entries, rows, capacity) as (contestants, absent):
            if not contestants:
                raise PeerFailure(f"nobody can be measured: {absent}")
            about = {contestant.name: contestant.about for contestant in contestants}
            traffic = {contestant.name: _traffic(contestant) for contestant in contestants}
            findings = _run(campaign, contestants, costs, console)
    findings.absent |= absent
    for name, reason in (findings.absent | findings.uncounted).items():
        console.print(f"{name}: {reason}", markup=False)
    return _write(campaign, gpu, about, traffic, findings)


@contextmanager
def _costs(gpu: Accelerators | None) -> Iterator[GpuCosts | None]:
    if gpu is None:
        yield None
        return
    with closing(GpuCosts(Cudart())) as costs:
        yield costs


def _run(campaign: Campaign, contestants: Sequence[Contestant], costs: GpuCosts | None, console: Console) -> Findings:
    """Behind a progress bar that draws between two measurements only: drawing costs computing time."""
    tokenizer = Tokenizer(campaign.tokenizer)
    text = heldout_text().content + calibration_text().content
    source = PromptSource(text, tokenizer.encode, tokenizer.decode)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    passes = _WARM_UP + campaign.rounds + 1  # the last one counts launches
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("", total=passes * len(campaign.cases) * len(contestants))

        def show(what: str) -> None:
            progress.update(task, advance=1, description=f"{what:50.50}", refresh=True)

        schedule = Schedule(campaign.cases, source, campaign.new_tokens, campaign.rounds, _WARM_UP, costs, show)
        return run(contestants, schedule)


def _write(
    campaign: Campaign,
    gpu: Accelerators | None,
    about: Mapping[str, Any],
    traffic: Mapping[str, Any],
    findings: Findings,
) -> Path:
    config = {
        "model": campaign.model,
        "gpu": None if gpu is None else {**dataclasses.asdict(gpu), "state": gpu.state.value},
        "rounds": campaign.rounds,
        "warm_up": _WARM_UP,
        "new_tokens": campaign.new_tokens,
        "cases": {case.name: dataclasses.asdict(case) for case in campaign.cases},
        "contestants": about,
        "bits": {entry.name: entry.bits for entry in campaign.entries},
    }
    figures = {
        "absent": _without_folders(findings.absent, campaign),
        "traffic": traffic,
        "launches": {
            name: {case: dataclasses.asdict(found) for case, found in counts.items()}
            for name, counts in findings.launches.items()
        },
        "uncounted": _without_folders(findings.uncounted, campaign),
        # As text, so that an answer is a line of the record.
        "tokens": {
            name: {case: [" ".join(map(str, row)) for row in rows] for case, rows in answers.items()}
            for name, answers in findings.tokens.items()
        },
    }
    return record.write(f"{PREFIX}{campaign.model}", config, findings.samples, figures, campaign.records)


def _traffic(contestant: Contestant) -> dict[str, int | None]:
    """What a contestant says of itself, or else what its graph says."""
    about, model = contestant.about, Path(contestant.entry.model)
    if "weight_bytes" in about:
        return {name: about[name] for name in ("weight_bytes", "kv_bytes_per_token")}
    return {"weight_bytes": read_a_token(model), "kv_bytes_per_token": kv_of_a_token(model)}


def _without_folders(reasons: Mapping[str, str], campaign: Campaign) -> dict[str, str]:
    """Records name no machine's folders."""
    folders = {f"{Path(entry.model).parent}/" for entry in campaign.entries}
    cleaned = dict(reasons)
    for folder in sorted(folders, key=len, reverse=True):
        cleaned = {name: reason.replace(folder, "") for name, reason in cleaned.items()}
    return cleaned
