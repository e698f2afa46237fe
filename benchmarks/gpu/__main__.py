"""Our engines on a GPU beside torch and onnxruntime-genai: measure, and make the page from the records.

    python -m benchmarks.gpu run BUNDLE... [--checkpoint FOLDER] [--genai FOLDER] [--python torch=python3]
    python -m benchmarks.gpu plans BUNDLE... [--compute-capability 8.9]
    python -m benchmarks.gpu page

Each contestant runs in a process of its own, in the interpreter that has its package.
"""

from __future__ import annotations

import re
from pathlib import Path

import click
from rich.console import Console

from benchmarks import record
from benchmarks.gpu.lineup import DEVICES, KINDS, entries, form_of
from benchmarks.gpu.page import write_page
from benchmarks.gpu.rounds import cases
from benchmarks.gpu.run import Campaign, measure
from benchmarks.peers.client import PeerFailure
from edge_autoglm import Bundle
from edge_autoglm.cli.output import progress_bars
from edge_autoglm.device.accelerators import GpuState, detect_accelerators, why_no_gpu
from edge_autoglm.errors import EdgeAutoGLMError

_FOLDER = click.Path(path_type=Path, file_okay=False)
_EXISTING = click.Path(path_type=Path, file_okay=False, exists=True)


def _interpreters(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for kind, _, path in pairs:
        if kind not in KINDS or not path:
            raise click.BadParameter(f"give KIND=INTERPRETER, KIND one of {', '.join(KINDS)}")
    return {kind: path for kind, _, path in pairs}


@click.group()
def main() -> None:
    """Our engines on a GPU."""


@main.command("run")
@click.argument("bundles", type=_EXISTING, nargs=-1, required=True)
@click.option("--device", "devices", type=click.Choice(DEVICES), multiple=True, default=DEVICES, show_default=True)
@click.option("--checkpoint", type=_EXISTING, help="Hugging Face folder that the bundles were made from, for torch.")
@click.option("--genai", type=_EXISTING, help="What onnxruntime-genai's builder made of it with -p fp16 -e cuda.")
@click.option(
    "--python", "interpreters", multiple=True, callback=_interpreters, help="KIND=INTERPRETER, if another one."
)
@click.option("--rows", type=click.IntRange(1), default=4, show_default=True, help="Slots that decode together.")
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True)
@click.option("--new-tokens", type=click.IntRange(2), default=64, show_default=True)
@click.option("--limit", default=120.0, show_default=True, help="Seconds that any answer may take.")
@click.option("--records", type=_FOLDER, default=record.FOLDER, help="Folder for the record.")
def run_command(
    bundles: tuple[Path, ...],
    devices: tuple[str, ...],
    checkpoint: Path | None,
    genai: Path | None,
    interpreters: dict[str, str],
    rows: int,
    rounds: int,
    new_tokens: int,
    limit: float,
    records: Path,
) -> None:
    """Measure BUNDLES, all of one model and exported with --target tensorrt, and write the record."""
    gpu = detect_accelerators()
    if gpu.state is not GpuState.READY:
        cause, _ = why_no_gpu(gpu)
        raise click.ClickException(f"nothing was measured: {cause}")
    try:
        own = [Bundle.open(bundle) for bundle in bundles]
        campaign = Campaign(
            model=re.sub(r"[^a-z0-9.]+", "-", own[0].manifest.model.name.lower()),
            tokenizer=own[0].tokenizer_path,
            entries=tuple(entries(own, devices, checkpoint, genai)),
            interpreters=interpreters,
            cases=cases(rows),
            rounds=rounds,
            new_tokens=new_tokens,
            limit=limit,
            records=records,
        )
        click.echo(f"record: {measure(campaign, gpu, Console())}")
    except (EdgeAutoGLMError, PeerFailure) as error:
        raise click.ClickException(str(error)) from error


@main.command("plans")
@click.argument("bundles", type=_EXISTING, nargs=-1, required=True)
@click.option("--compute-capability", "capability", default="8.9", show_default=True)
@click.option("--records", type=_FOLDER, default=record.FOLDER, help="Folder for the record.")
def plans_command(bundles: tuple[Path, ...], capability: str, records: Path) -> None:
    """Compile BUNDLES with the TensorRT that is here, and write times and sizes; TensorRT-RTX needs no GPU for it."""
    from benchmarks.gpu.plans import compiled

    figures = {}
    try:
        for path in bundles:
            bundle = Bundle.open(path)
            name = f"{bundle.manifest.model.name} {form_of(bundle)}"
            with progress_bars() as progress:
                figures[name] = compiled(bundle, capability, progress)
            click.echo(f"{name}: {figures[name]}")
    except EdgeAutoGLMError as error:
        raise click.ClickException(str(error)) from error
    seconds = {name: [found["seconds"]] for name, found in figures.items()}
    click.echo(f"record: {record.write('tensorrt_plans', {'sizes': 'usual'}, seconds, figures, records)}")


@main.command("page")
@click.option("--records", type=_FOLDER, default=record.FOLDER, help="Folder with the records; the page goes there.")
def page_command(records: Path) -> None:
    """Make the page, with its plots, from the records; without any it says so."""
    click.echo(f"page: {write_page(records)}")


if __name__ == "__main__":
    main()
