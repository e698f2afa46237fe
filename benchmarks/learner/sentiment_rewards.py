"""Whether each prompt variant of the real model labels a snippet right: computed once, kept beside the code.

    python -m benchmarks.learner.sentiment_rewards BUNDLE SNIPPETS

``SNIPPETS`` holds ``movies.tsv`` and ``tweets.tsv``: the ratings published with VADER (Hutto and Gilbert, ICWSM 2014).
By the split convention of those files, rows 1 to 1000 are for development and rows 1001 to 2000 for reports.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks import record
from benchmarks.learner.progress import bar
from benchmarks.learner.snippets import DEVELOPMENT, DOMAINS, REPORT, REWARDS, TASK, Rows, read_rows
from edge_autoglm import Runtime

_CHUNK = 50


def right_answers(runtime: Runtime, task: str, rows: Rows, variant: str, advance: Callable[[int], None]) -> str:
    """A ``1`` for every row that the variant labels right, a ``0`` for every other."""
    marks = []
    for start in range(0, len(rows.texts), _CHUNK):
        inputs = [{"text": text} for text in rows.texts[start : start + _CHUNK]]
        replies = runtime.run_many(task, inputs, variant=variant)
        labels = rows.labels[start : start + _CHUNK]
        marks += ["1" if reply.label == label else "0" for reply, label in zip(replies, labels, strict=True)]
        advance(len(inputs))
    return "".join(marks)


def compute(runtime: Runtime, blocks: Sequence[tuple[str, Rows]], variants: Sequence[str]) -> list[dict[str, Any]]:
    """Every block with the marks of every variant, behind a progress bar."""
    total = len(variants) * sum(len(rows.texts) for _, rows in blocks)
    found = []
    with bar(total, Console(stderr=True)) as advance:
        for split, rows in blocks:
            right = {
                name: right_answers(runtime, TASK, rows, name, partial(advance, f"{split} {name}")) for name in variants
            }
            found.append({"split": split, "domain": rows.domain, "first_row": rows.first, "right": right})
    return found


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("snippets", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--report-rows", type=click.IntRange(1, 1000), default=500, show_default=True, help="Of each file.")
@click.option("--development-rows", type=click.IntRange(1, 1000), default=100, show_default=True, help="Of each file.")
@click.option("--threads", type=click.IntRange(1), help="Of the engine; by default what the machine grants.")
@click.option("--out", type=click.Path(path_type=Path), default=REWARDS, help="File to write.")
def main(bundle: Path, snippets: Path, report_rows: int, development_rows: int, threads: int | None, out: Path) -> None:
    """Label the SNIPPETS with every variant of the task of BUNDLE."""
    counts = {REPORT: report_rows, DEVELOPMENT: development_rows}
    blocks = [(split, read_rows(snippets, domain, split, counts[split])) for split in counts for domain in DOMAINS]
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    with Runtime.open(bundle, threads=threads) as runtime:
        variants = runtime.tasks[TASK]
        found = compute(runtime, blocks, variants)
    content = {
        "command": f"python -m benchmarks.learner.sentiment_rewards BUNDLE SNIPPETS --report-rows {report_rows}"
        f" --development-rows {development_rows}",
        "model": manifest["model"],
        "host": record.host(),
        "variants": list(variants),
        "blocks": found,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{out}: {len(variants)} variants")


if __name__ == "__main__":
    main()
