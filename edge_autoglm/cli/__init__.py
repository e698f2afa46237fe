"""The command line: one command a file, loaded when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from edge_autoglm.errors import EdgeAutoGLMError

_COMMANDS = (
    "export",
    "verify",
    "sign",
    "inspect",
    "rebuild",
    "run",
    "chat",
    "bench",
    "evolve",
    "learn",
    "prompts",
    "demo",
    "doctor",
)


class _LazyGroup(click.Group):
    """Loads a command's module on demand and turns the package's errors into one line and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"edge_autoglm.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"edge_autoglm.cli.{cmd_name}.command is no click command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EdgeAutoGLMError as error:
            raise click.ClickException(str(error)) from error


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-autoglm")
def main() -> None:
    """Run a small language model inside a device app, and let it learn which prompt works best.

    \b
    edge-autoglm demo                                   see the whole path on a real model
    edge-autoglm export model.gguf model.bundle         checkpoint to deployable bundle
    edge-autoglm run model.bundle sentiment text="..."  answer one request
    """
