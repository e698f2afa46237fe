"""One experiment from its line-up to its record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import record
from benchmarks.peers.bandwidth import MemoryReader
from benchmarks.peers.client import PeerFailure
from benchmarks.peers.experiments import EXPERIMENTS, Experiment
from benchmarks.peers.lineup import Contestant, Entry, Hall, opened
from benchmarks.peers.models import PREPARED, TOKENIZER
from benchmarks.peers.prompts import PromptSource
from benchmarks.peers.rounds import Case, Findings, Schedule, run
from benchmarks.peers.weight_bytes import read_a_token
from edge_autoglm.export.texts import calibration_text, heldout_text
from edge_autoglm.runtime.text.tokenizer import Tokenizer

_WARM_UP = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Campaign:
    """What the command line asks for.

    Attributes:
        name: Of the experiment.
        models: Folder of prepared models.
        entries: Who takes part.
        interpreters: Kind -> Python that has its package.
        threads: For everybody.
        rounds: That count.
        new_tokens: Of a request.
        limit: Seconds that any answer may take.
        records: Folder for the record.
    """

    name: str
    models: Path
    entries: tuple[Entry, ...]
    interpreters: dict[str, str]
    threads: int
    rounds: int
    new_tokens: int
    limit: float
    records: Path

    @property
    def experiment(self) -> Experiment:
        """The one of that name."""
        return EXPERIMENTS[self.name]


def measure(campaign: Campaign, console: Console) -> Path:
    """Measure everything and write the record; its path.

    Raises:
        PeerFailure: No contestant can be opened.
    """
    prepared = json.loads((campaign.models / PREPARED).read_text(encoding="utf-8"))
    tokenizer = Tokenizer(campaign.models / TOKENIZER)
    text = heldout_text().content + calibration_text().content
    source = PromptSource(text, tokenizer.encode, tokenizer.decode)
    cases = campaign.experiment.cases(source, campaign.new_tokens)
    with TemporaryDirectory() as logs:
        hall = Hall(
            campaign.models, prepared["failed"], Path(logs), campaign.interpreters, campaign.threads, campaign.limit
        )
        capacity = max(len(prompt.tokens) for case in cases for prompt in case.prompts()) + campaign.new_tokens
        console.print(f"opening {len(campaign.entries)} contestants, one after another")
        with opened(hall, campaign.entries, max(case.rows for case in cases), capacity) as (contestants, absent):
            if not contestants:
                raise PeerFailure(f"nobody can be measured: {absent}")
            findings = _run(campaign, contestants, cases, tokenizer, console)
            about = {contestant.name: contestant.about for contestant in contestants}
    # Records name no machine's folders.
    findings.absent = {
        name: reason.replace(f"{campaign.models.resolve()}/", "") for name, reason in (findings.absent | absent).items()
    }
    for name, reason in findings.absent.items():
        console.print(f"{name} is absent: {reason}", markup=False)
    return _write(campaign, prepared, about, findings)


def _run(
    campaign: Campaign, contestants: Sequence[Contestant], cases: Sequence[Case], tokenizer: Tokenizer, console: Console
) -> Findings:
    """Behind a progress bar that draws between two measurements only: drawing costs computing time."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("", total=(campaign.rounds + _WARM_UP) * len(cases) * len(contestants))

        def show(what: str) -> None:
            progress.update(task, advance=1, description=f"{what:50.50}", refresh=True)

        memory = MemoryReader(campaign.threads) if campaign.experiment.memory else None
        schedule = Schedule(campaign.rounds, _WARM_UP, memory, show)
        return run(contestants, cases, schedule, tokenizer.decode)


def _write(campaign: Campaign, prepared: Mapping[str, Any], about: Mapping[str, Any], findings: Findings) -> Path:
    config = {
        "experiment": campaign.name,
        "model": prepared["model"],
        "source": prepared["source"],
        "threads": campaign.threads,
        "rounds": campaign.rounds,
        "warm_up": _WARM_UP,
        "new_tokens": campaign.new_tokens,
        "contestants": about,
        "bits": {entry.name: entry.bits for entry in campaign.entries},
    }
    figures = {
        "absent": findings.absent,
        "weight_bytes": {
            entry.name: read_a_token(campaign.models / entry.model) for entry in campaign.entries if entry.name in about
        },
        "first_answers": findings.texts,
        "short_answers": findings.short,
        "cached_share": findings.cached,
        "settling_seconds": findings.settling,
    }
    return record.write(
        f"peers_{campaign.name}_{prepared['model']}", config, findings.samples, figures, campaign.records
    )
