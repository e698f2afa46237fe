"""``edge-autoglm chat``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_autoglm.cli.device_option import device_option
from edge_autoglm.cli.output import progress_bars
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.runtime import Runtime
from edge_autoglm.values import Message, SamplingParams


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--system", help="System message.")
@click.option("--max-new-tokens", default=256, show_default=True, help="Longest answer.")
@click.option("--temperature", default=0.0, show_default=True, help="0 is greedy.")
@click.option("--top-p", default=1.0, show_default=True, help="Nucleus sampling.")
@click.option("--seed", type=int, help="Makes sampled answers repeatable.")
@device_option
def command(
    bundle: Path,
    system: str | None,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int | None,
    device: str,
) -> None:
    """Talk to the model of BUNDLE. End with Ctrl-D."""
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    params = SamplingParams(max_new_tokens, temperature, top_p=top_p, seed=seed)
    with progress_bars() as progress:
        runtime = Runtime.open(bundle, device=device, config=RuntimeConfig(tasks=()), progress=progress)
    with runtime:
        while True:
            try:
                text = click.prompt("you", prompt_suffix="> ")
            except (click.Abort, EOFError):
                click.echo()
                return
            messages.append({"role": "user", "content": text})
            stream = runtime.generate_stream(messages, params)
            for piece in stream:
                click.echo(piece, nl=False)
            click.echo()
            messages.append({"role": "assistant", "content": stream.text})
