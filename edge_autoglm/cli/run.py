"""``edge-autoglm run``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.markup import escape

from edge_autoglm.cli.device_option import device_option
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.runtime import Runtime


def _parse(pairs: tuple[str, ...]) -> dict[str, str]:
    inputs = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise click.UsageError(f"{pair!r} is not of the form name=value")
        inputs[name] = value
    return inputs


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("task")
@click.argument("inputs", nargs=-1, metavar="NAME=VALUE...")
@click.option("--variant", help="Answer with this variant instead of the policy's choice.")
@click.option(
    "--state", type=click.Path(path_type=Path), help="State folder of the learner; without it nothing is kept."
)
@device_option
@click.option("--explain", is_flag=True, help="Say why this variant answered.")
@json_option
def command(
    bundle: Path,
    task: str,
    inputs: tuple[str, ...],
    variant: str | None,
    state: Path | None,
    device: str,
    explain: bool,
    json_file: Path | None,
) -> None:
    """Answer one request of TASK.

    \b
    edge-autoglm run smollm2.bundle sentiment text="What a lovely day"
    """
    with progress_bars() as progress:
        runtime = Runtime.open(bundle, state, device=device, config=RuntimeConfig(tasks=(task,)), progress=progress)
    with runtime:
        reply = runtime.run(task, _parse(inputs), variant=variant)
        device = runtime.stats.placement.device
    console.print(reply.text, markup=False, soft_wrap=True)
    usage, timings = reply.usage, reply.timings
    console.print(
        escape(
            f"variant {reply.variant} (propensity {reply.propensity:.3f}), generation {reply.generation}, "
            f"{usage.prompt_tokens} prompt tokens ({usage.num_cached_tokens} cached), {usage.new_tokens} new, "
            f"first token after {timings.ttft * 1e3:.0f} ms on {device}, id {reply.id}"
        ),
        style="dim",
        soft_wrap=True,
    )
    why = reply.explain()
    if explain and why is not None:
        console.print(why.summary, style="dim", markup=False, soft_wrap=True)
    figures = asdict(replace(reply, explainer=None)) | {"explanation": None if why is None else asdict(why)}
    del figures["explainer"]
    figures["device"] = device
    write_json(json_file, figures)
