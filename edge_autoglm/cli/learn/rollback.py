"""``edge-autoglm learn rollback``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.swap.store.offline import offline_store, roll_back


@click.command()
@click.argument("state", type=click.Path(path_type=Path))
@click.option("--to", "version", metavar="VERSION", help="Another one than the last good one, such as 1.0.2.")
@json_option
def rollback(state: Path, version: str | None, json_file: Path | None) -> None:
    """Let the app on the state folder STATE come up on the previous good generation at the next start.

    Model, prompts and policy go back together. The active generation is given up: it stays in the list, but no restart
    comes up on it, unless it is named with --to. What was learnt is kept, and may be promoted again. The generation to
    go back to is verified first; where it is damaged, nothing changes.

    No runtime may have the folder open. In a running app call rt.learner.rollback() instead: it needs no restart.

    \b
    edge-autoglm learn status state                  which generations are kept
    edge-autoglm learn rollback state
    edge-autoglm learn rollback state --to 1.0.2
    """
    with offline_store(state, "rt.learner.rollback()") as store, progress_bars() as progress:
        active = roll_back(store, version, progress)
    console.print(f"version {active.version} (generation {active.number}) is active at the next start", markup=False)
    write_json(json_file, {"version": str(active.version), "number": active.number})
