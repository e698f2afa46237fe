"""``edge-autoglm learn``: one subcommand a file."""

from __future__ import annotations

import click

from edge_autoglm.cli.learn.replay import replay
from edge_autoglm.cli.learn.status import status


@click.group()
def command() -> None:
    """Look into what a device has learnt, and ask what another policy would have earned.

    \b
    edge-autoglm learn status STATE --plot winners.png
    edge-autoglm learn replay STATE --policy mixture --policy always:plain
    """


command.add_command(status)
command.add_command(replay)
