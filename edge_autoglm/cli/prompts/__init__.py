"""``edge-autoglm prompts``: one subcommand a file."""

from __future__ import annotations

import click

from edge_autoglm.cli.prompts.check import check
from edge_autoglm.cli.prompts.diff import diff
from edge_autoglm.cli.prompts.import_soft import import_soft
from edge_autoglm.cli.prompts.list import list_tasks
from edge_autoglm.cli.prompts.show import show


@click.group()
def command() -> None:
    """Look at task files, compare versions of them, and find what is wrong with them.

    Wherever files are asked for, name bundles, task files or folders of task files. No model is run.

    \b
    edge-autoglm prompts list                                what comes with the package
    edge-autoglm prompts show sentiment review               one variant of it: source, rendering, static prefix
    edge-autoglm prompts diff old.bundle new.bundle          what changed, and which version that deserves
    edge-autoglm prompts check my_tasks --bundle my.bundle   errors, warnings, and what each variant costs
    edge-autoglm prompts import-soft my.bundle tuned/ sentiment new.bundle --name tuned
    """


command.add_command(list_tasks)
command.add_command(show)
command.add_command(diff)
command.add_command(check)
command.add_command(import_soft)
