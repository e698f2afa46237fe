"""``--device``, of every command that runs a bundle."""

from __future__ import annotations

import click

from edge_autoglm.facade.device_choice import AUTO, DEVICES

device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default=AUTO,
    show_default=True,
    help="Where to run it: cpu; cuda, ONNX Runtime on an NVIDIA GPU; tensorrt, a plan compiled for it. Both want a "
    "bundle that was exported with --target tensorrt. auto takes TensorRT where all that it needs is there, else CUDA, "
    "else the CPU; `edge-autoglm doctor BUNDLE` says what is missing.",
)
