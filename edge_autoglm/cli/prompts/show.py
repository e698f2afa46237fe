"""``edge-autoglm prompts show``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from edge_autoglm.bundle.manifest import MANIFEST_NAME
from edge_autoglm.cli.output import console, json_option, write_json
from edge_autoglm.cli.prompts.sources import Source, bundle_option, model_for, read_source
from edge_autoglm.errors import UnknownTask
from edge_autoglm.prompts import Task, Variant, static_prefix
from edge_autoglm.prompts.checks.costs import resident_prefix
from edge_autoglm.prompts.checks.renderings import rendered, stand_in_chat
from edge_autoglm.prompts.checks.text_model import TextModel
from edge_autoglm.prompts.diff import fields_of


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="[SOURCE] [TASK] [VARIANT]")
@click.option("--probe", default=1, show_default=True, help="Which of the task's probes to render, from 1.")
@bundle_option
@json_option
def show(names: Sequence[str], probe: int, bundle_path: Path | None, json_file: Path | None) -> None:
    """Show a task, or one variant of it: its source, how it renders on a probe, and its static prefix.

    SOURCE is a bundle, a task file or a folder of task files; without it, the built-in library. TASK may be left out
    where there is only one. The static prefix is what every request of the variant begins with: a runtime computes it
    once. Without a bundle, a stand-in takes the place of the model's chat template.

    \b
    edge-autoglm prompts show sentiment review
    edge-autoglm prompts show model.bundle sentiment question_lead_in --probe 2
    edge-autoglm prompts show my_task.yaml --bundle model.bundle
    """
    source, rest = _split(names)
    task, variants = _find(source, rest)
    if not 1 <= probe <= len(task.probes):
        raise click.BadParameter(f"the task has probes 1 to {len(task.probes)}", param_hint="--probe")
    model = model_for(source, bundle_path)
    console.print(_facts(task, source))
    shown = [_figures(task, variant, probe - 1, model) for variant in variants]
    for figures in shown:
        _print(figures)
    if model is None:
        console.print("Chats are shown with a stand-in for a chat template, and nothing in tokens: name a --bundle.")
    write_json(json_file, {"source": source.name, "task": task.name, "variants": shown})


def _split(names: Sequence[str]) -> tuple[Source, Sequence[str]]:
    """What is looked at, and the names of task and variant."""
    first = Path(names[0])
    is_source = first.suffix == ".yaml" or first.is_file() or (first / MANIFEST_NAME).exists() or len(names) > 2
    if is_source or any(first.glob("*.yaml")) or len(first.parts) > 1:
        return read_source(first), names[1:]
    return read_source(None), names


def _find(source: Source, names: Sequence[str]) -> tuple[Task, tuple[Variant, ...]]:
    catalogue = source.catalogue()
    if len(catalogue.names) == 1 and (not names or names[0] not in catalogue.names):
        names = (catalogue.names[0], *names)
    if not names:
        cause = f"{source.name} has {len(catalogue.names)} tasks"
        raise UnknownTask(cause, f"Name one of them behind it: {', '.join(catalogue.names)}.")
    if len(names) > 2:
        raise click.UsageError("Give at most a source, a task and a variant.")
    task = catalogue.task(names[0])
    return task, task.variants if len(names) == 1 else (task.variant(names[1]),)


def _figures(task: Task, variant: Variant, probe: int, model: TextModel | None) -> dict[str, Any]:
    prompt = rendered(task, variant, task.probes[probe], model)
    chat = stand_in_chat if model is None else model.chat
    prefix = "" if prompt is None else static_prefix(task, variant, chat)
    resident = None if model is None else resident_prefix(task, variant, model)
    return {
        "variant": variant.name,
        "description": variant.description,
        "source": variant.sources(),
        "roles": [message["role"] for message in variant.messages or ()],
        "settings": _settings(variant),
        "rendering": prompt,
        "prompt_tokens": None if model is None or prompt is None else model.prompt_length(prompt),
        "static_prefix": prefix,
        "prefix_tokens": None if resident is None else len(resident),
    }


def _settings(variant: Variant) -> dict[str, str]:
    """What the variant says besides its templates, and not as by default."""
    shown = {"description", "prompt", "messages", "answer"}
    usual = fields_of(Variant(variant.name))
    return {name: value for name, value in fields_of(variant).items() if name not in shown and usual.get(name) != value}


def _facts(task: Task, source: Source) -> Table:
    table = Table(title=escape(f"{task.name} {task.version} ({source.name})"), show_header=False)
    table.add_row("description", escape(task.description))
    table.add_row("inputs", escape(", ".join(task.inputs)))
    if task.labels:
        table.add_row("labels", escape(", ".join(task.labels)))
    table.add_row("guard", escape(", ".join(f"{name}: {value}" for name, value in task.guard.plain().items()) or "-"))
    table.add_row("fingerprint", task.fingerprint)
    return table


def _print(figures: dict[str, Any]) -> None:
    console.rule(escape(figures["variant"]))
    if figures["description"]:
        _section("", figures["description"], "italic")
    roles = figures["roles"]
    for i, (field, source) in enumerate(figures["source"].items()):
        _section(field if i >= len(roles) else f"{field} ({roles[i]})", source, "cyan")
    for name, value in figures["settings"].items():
        console.print(Text.assemble((f"{name} ", "bold"), (repr(value), "cyan")))
    if figures["rendering"] is None:
        _section("rendering", "none: it is a chat, and the model has no chat template", "yellow")
        return
    _section(f"rendering{_tokens(figures['prompt_tokens'])}", figures["rendering"], "")
    _section(f"static prefix{_tokens(figures['prefix_tokens'])}", figures["static_prefix"] or "(none)", "green")


def _tokens(count: int | None) -> str:
    return "" if count is None else f", {count} tokens"


def _section(title: str, text: str, style: str) -> None:
    if title:
        console.print(Text(title, style="bold"))
    console.print(Text(text, style=style))
