"""``edge-autoglm learn``: one subcommand a file."""

from __future__ import annotations

import click

from edge_autoglm.cli.learn.experiments import experiments
from edge_autoglm.cli.learn.promote import promote
from edge_autoglm.cli.learn.replay import replay
from edge_autoglm.cli.learn.rollback import rollback
from edge_autoglm.cli.learn.status import status


@click.group()
def command() -> None:
    """Look into what a device has learnt, ask what another policy would have earned, and put it live or take it back.

    \b
    edge-autoglm learn status STATE --plot winners.png
    edge-autoglm learn experiments STATE --plot experiments.png
    edge-autoglm learn replay STATE --policy mixture --policy always:plain
    edge-autoglm learn promote STATE
    edge-autoglm learn rollback STATE --to 1.0.2
    """


command.add_command(status)
command.add_command(replay)
command.add_command(promote)
command.add_command(rollback)
command.add_command(experiments)
