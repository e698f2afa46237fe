"""``edge-autoglm inspect``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from edge_autoglm.bundle import Bundle
from edge_autoglm.cli.output import console, json_option, megabytes, write_json
from edge_autoglm.prompts import Catalogue


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def command(bundle: Path, json_file: Path | None) -> None:
    """Show what BUNDLE holds: model, engines, tasks, files. Does not check the files; `verify` does."""
    opened = Bundle.open(bundle, verify=False)
    manifest, catalogue = opened.manifest, Catalogue.load(opened.task_files())
    facts = Table(title=str(bundle), show_header=False)
    for name, value in asdict(manifest.model).items():
        facts.add_row(name.replace("_", " "), str(value))
    for engine in manifest.engines:
        facts.add_row(f"engine {engine.kind}", f"{engine.precision}, KV {engine.kv_type}, {engine.graph}")
    for name in catalogue.names:
        task = catalogue.task(name)
        facts.add_row(f"task {name}", f"{task.kind}: " + ", ".join(variant.name for variant in task.variants))
    facts.add_row("made", f"{manifest.created_at} by {manifest.created_by} from {manifest.source}")
    facts.add_row("fingerprint", opened.fingerprint)
    console.print(facts)
    files = Table("file", "size", "sha256")
    for entry in manifest.files:
        files.add_row(entry.path, megabytes(entry.size), entry.sha256[:16])
    console.print(files)
    write_json(json_file, {**asdict(manifest), "fingerprint": opened.fingerprint})
