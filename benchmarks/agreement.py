"""Whether a bundle gives the greedy answers of another one, on whatever device it runs.

    python -m benchmarks.agreement BUNDLE REFERENCE [--device cuda] [--prompts 300] [--new-tokens 24]

For an engine in float16 on a GPU beside the one in float32 on the CPU; the prompts are those of ``exactness``. The
record has the name of BUNDLE's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmarks import record
from benchmarks.exactness import THREADS, answer_all, prompts
from edge_autoglm import Bundle, RuntimeConfig
from edge_autoglm.device.placement import Placement
from edge_autoglm.facade.device_choice import AUTO, DEVICES
from edge_autoglm.facade.loading import load_model

SLOTS = 16


def answers(bundle: Path, device: str, texts: list[str], new_tokens: int) -> tuple[list[str], Placement]:
    """Greedy answers, several at a time, and where they were computed."""
    config = RuntimeConfig(slots=SLOTS, context_length=512, speculate=False)
    model = load_model(Bundle.open(bundle), THREADS, config, device=device)
    try:
        return answer_all(model, texts, new_tokens, SLOTS).texts, model.placement
    finally:
        model.close()


def compared(found: list[str], expected: list[str]) -> dict[str, Any]:
    """How many answers are the same, and the others, each beside the one that it should be."""
    different = [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]]
    equal = len(expected) - len(different)
    return {"answers": len(expected), "equal": equal, "share_equal": equal / len(expected), "different": different}


@click.command(help=__doc__)
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.argument("reference", type=click.Path(exists=True, path_type=Path))
@click.option("--device", type=click.Choice(DEVICES), default=AUTO, show_default=True, help="Of BUNDLE.")
@click.option("--prompts", "count", type=click.IntRange(1), default=300, show_default=True)
@click.option("--new-tokens", type=click.IntRange(1), default=24, show_default=True)
@click.option("--records", type=click.Path(path_type=Path), default=record.FOLDER, show_default=False)
def main(bundle: Path, reference: Path, device: str, count: int, new_tokens: int, records: Path) -> None:
    """Answer, compare, and write the record."""
    texts = prompts(count)
    found, place = answers(bundle, device, texts, new_tokens)
    expected, beside = answers(reference, "cpu", texts, new_tokens)
    figures = {**compared(found, expected), "place": str(place), "reference": str(beside)}
    entry = Bundle.open(bundle, verify=False).manifest.engines[0]
    config = {
        "precision": entry.precision,
        "kv": entry.kv_type,
        "kind": entry.kind,
        "notes": list(entry.notes),
        "new_tokens": new_tokens,
    }
    path = record.write(f"agreement_{bundle.name}_{place.device}", config, {}, figures, records)
    click.echo(f"{figures['equal']} of {count} answers are equal, on {place}; record: {path}")


if __name__ == "__main__":
    main()
