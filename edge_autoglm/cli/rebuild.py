"""``edge-autoglm rebuild``."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.plan_folder import PlanFolder
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.cli.plan_table import plan_table
from edge_autoglm.export.rebuild import rebuild_plan


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--compute-capability",
    "compute_capabilities",
    multiple=True,
    metavar="X",
    help="GPUs that the plan is for, such as 8.9; repeatable. By default those that are here.",
)
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    metavar="N",
    help="Rows that decode in one step; by default as many as in the bundle's own plan, or 4.",
)
@json_option
def command(bundle: Path, compute_capabilities: tuple[str, ...], slots: int | None, json_file: Path | None) -> None:
    """Compile the graph of BUNDLE to a plan for the TensorRT and the GPU that are here.

    A plan fits one version of one library, and the GPUs that it was compiled for. Where no plan of BUNDLE fits, the
    device compiles one of its own. It is kept in the user's cache folder (EDGE_AUTOGLM_CACHE), in place of an earlier
    one, and found there whenever BUNDLE is opened; BUNDLE stays as it is.

    \b
    edge-autoglm rebuild model.bundle
    """
    started = time.perf_counter()
    with progress_bars() as progress:
        opened = Bundle.open(bundle, progress=progress)
        plan = rebuild_plan(opened, slots=slots, compute_capabilities=compute_capabilities, progress=progress)
    seconds = time.perf_counter() - started
    file = PlanFolder.of(opened.fingerprint).root / plan.entry.path
    console.print(plan_table([(plan.entry, plan.size)]))
    console.print(f"{file}, after {seconds:.1f} s.", markup=False, soft_wrap=True)
    write_json(json_file, {"bundle": str(bundle), "file": str(file), "seconds": seconds, **asdict(plan)})
