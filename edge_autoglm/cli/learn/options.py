"""Options that commands on a state folder share."""

from __future__ import annotations

import click

from edge_autoglm.learn.policies import POLICIES

policy_option = click.option(
    "--policy",
    "name",
    # A model of River's needs an object of the app's making.
    type=click.Choice([name for name in POLICIES if name != "river"]),
    default="mixture",
    show_default=True,
    help="What the runtime learns with; another one learns here from the journal.",
)
