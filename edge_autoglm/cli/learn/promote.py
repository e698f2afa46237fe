"""``edge-autoglm learn promote``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_autoglm.cli.learn.options import policy_option
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.swap.store.offline import offline_store
from edge_autoglm.swap.store.offline import promote as promote_offline


@click.command()
@click.argument("state", type=click.Path(path_type=Path))
@policy_option
@json_option
def promote(state: Path, name: str, json_file: Path | None) -> None:
    """Put what has been learnt in the state folder STATE live at the next start.

    What the device has learnt since its last promotion becomes a new generation with the same model and prompts: a new
    PATCH version. All its numbers must be finite; its answers are not checked, as they are when a running app promotes.
    `learn rollback` takes it back.

    No runtime may have the folder open. In a running app call rt.learner.promote() instead: it checks the candidate and
    needs no restart.

    \b
    edge-autoglm learn status state        what was learnt, and which generation is active
    edge-autoglm learn promote state       1.0.3 -> 1.0.4
    """
    with offline_store(state, "rt.learner.promote()") as store, progress_bars() as progress:
        new = promote_offline(store, state, make_policy(name), progress)
        active = new or store.active()
    version = None if active is None else str(active.version)
    if new is None:
        console.print(f"nothing was learnt since version {version}", markup=False)
    else:
        console.print(f"version {version} (generation {new.number}) is active at the next start", markup=False)
    write_json(json_file, {"promoted": new is not None, "version": version, "number": active and active.number})
