"""``edge-autoglm verify``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_autoglm.bundle import Bundle
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.prompts import Catalogue


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def command(bundle: Path, json_file: Path | None) -> None:
    """Check that every file of BUNDLE is what its manifest says, and that its tasks are sound."""
    with progress_bars() as progress:
        opened = Bundle.open(bundle, progress=progress)
    catalogue = Catalogue.load(opened.task_files())
    files = len(opened.manifest.files)
    console.print(f"{bundle}: {files} files match their checksums, {len(catalogue.names)} tasks load.", soft_wrap=True)
    write_json(
        json_file,
        {"bundle": str(bundle), "files": files, "tasks": sorted(catalogue.names), "digest": opened.digest},
    )
