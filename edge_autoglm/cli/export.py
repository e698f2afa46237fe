"""``edge-autoglm export``."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.table import Table

from edge_autoglm.cli.output import console, json_option, megabytes, progress_bars, write_json
from edge_autoglm.export.pipeline import PRECISIONS, TARGETS, export_model


@click.command()
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--precision", type=click.Choice(PRECISIONS), default="int8", show_default=True, help="Of the weights.")
@click.option("--target", type=click.Choice(TARGETS), default="ort", show_default=True, help="Engine to build for.")
@click.option(
    "--task",
    "tasks",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Task file to ship; repeatable. The built-in tasks by default.",
)
@click.option("--force", is_flag=True, help="Replace a bundle that lies at OUT.")
@json_option
def command(
    source: str, out: Path, precision: str, target: str, tasks: tuple[Path, ...], force: bool, json_file: Path | None
) -> None:
    """Turn the checkpoint SOURCE into the bundle folder OUT.

    SOURCE is a .gguf file, a folder with config.json and safetensors, or a Hugging Face hub id. OUT appears whole or
    not at all; nothing is left behind when the export fails.

    \b
    edge-autoglm export SmolLM2-135M-Instruct.Q4_1.gguf smollm2.bundle
    edge-autoglm export ./checkpoint model.bundle --precision fp32
    edge-autoglm export HuggingFaceTB/SmolLM2-135M-Instruct smollm2.bundle
    """
    started = time.perf_counter()
    with progress_bars() as progress:
        bundle = export_model(source, out, precision, target, tasks=list(tasks) or None, force=force, progress=progress)
    seconds = time.perf_counter() - started
    model, size = bundle.manifest.model, sum(entry.size for entry in bundle.manifest.files)
    table = Table(title=str(out), show_header=False)
    table.add_row("model", f"{model.name} ({model.family}, {model.parameters / 1e6:.1f} M parameters)")
    table.add_row("precision", precision)
    table.add_row("size", megabytes(size))
    table.add_row("fingerprint", bundle.fingerprint)
    table.add_row("time", f"{seconds:.1f} s")
    console.print(table)
    write_json(
        json_file,
        {
            "bundle": str(out),
            "model": model.name,
            "parameters": model.parameters,
            "precision": precision,
            "bytes": size,
            "fingerprint": bundle.fingerprint,
            "seconds": seconds,
        },
    )
