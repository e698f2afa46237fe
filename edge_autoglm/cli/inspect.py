"""``edge-autoglm inspect``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from edge_autoglm.bundle import Bundle, FileEntry
from edge_autoglm.cli.output import console, json_option, megabytes, write_json
from edge_autoglm.cli.plan_table import plan_table
from edge_autoglm.cli.proof_table import proof_table
from edge_autoglm.errors import DamagedPlan
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.facade.plans import KnownPlan, plans_of
from edge_autoglm.prompts import Catalogue


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def command(bundle: Path, json_file: Path | None) -> None:
    """Show what BUNDLE holds: model, precision of each group of layers, tasks, proof, TensorRT plans, files.

    Plans that `rebuild` made on this device are shown as well. Does not check the files; `verify` does.
    """
    opened = Bundle.open(bundle, verify=False)
    manifest, catalogue = opened.manifest, Catalogue.load(opened.task_files())
    proof = Proof.from_json(manifest.verification)
    console.print(_facts(opened, str(bundle), catalogue))
    console.print(_engines(opened))
    if proof is None:
        console.print("Not proven: it was exported without a comparison with the original.")
    else:
        console.print(proof_table(proof, "compared with the original at its export"))
    plans, damaged = _plans(opened)
    if plans:
        console.print(plan_table([(replace(plan.entry, path=plan.name), plan.size) for plan in plans]))
    for error in damaged:
        console.print(str(error), markup=False, soft_wrap=True)
    console.print(_files(manifest.files))
    write_json(
        json_file,
        {
            **asdict(manifest),
            "fingerprint": opened.fingerprint,
            "signed_by": None if opened.signature is None else opened.signature.key_id,
            "plans": [
                {**asdict(plan.entry), "path": plan.name, "sha256": plan.sha256, "size": plan.size} for plan in plans
            ],
            "damaged_plans": [error.cause for error in damaged],
        },
    )


def _plans(bundle: Bundle) -> tuple[list[KnownPlan], list[DamagedPlan]]:
    """Of the bundle, and those that were rebuilt for it on this device; and what is wrong with others."""
    engines = [entry for entry in bundle.manifest.engines if entry.kind == "standard"]
    found = [plan for entry in engines for plan in plans_of(bundle, entry)]
    known = [plan for plan in found if isinstance(plan, KnownPlan)]
    return known, [plan for plan in found if isinstance(plan, DamagedPlan)]


def _facts(bundle: Bundle, title: str, catalogue: Catalogue) -> Table:
    table = Table(title=title, show_header=False)
    for name, value in asdict(bundle.manifest.model).items():
        table.add_row(name.replace("_", " "), str(value))
    for name in catalogue.names:
        task = catalogue.task(name)
        table.add_row(f"task {name}", f"{task.kind}: " + ", ".join(variant.name for variant in task.variants))
    manifest = bundle.manifest
    table.add_row("made", f"{manifest.created_at} by {manifest.created_by} from {manifest.source}")
    table.add_row("fingerprint", bundle.fingerprint)
    signature = bundle.signature
    table.add_row("signed by", "nobody" if signature is None else f"key {signature.key_id} (not checked)")
    return table


def _engines(bundle: Bundle) -> Table:
    """A row an engine, one for each group of its weights, and its notes."""
    table = Table("engine", "part", "stored as")
    for engine in bundle.manifest.engines:
        folder = engine.graph.rpartition("/")[0] + "/"
        size = _size(entry for entry in bundle.manifest.files if entry.path.startswith(folder))
        table.add_row(engine.kind, engine.graph, f"{engine.precision}, {megabytes(size)}")
        for group, precision in engine.groups.items():
            table.add_row("", escape(group), escape(precision))
        table.add_row("", "KV cache", engine.kv_type)
        for note in engine.notes:
            table.add_row("", "note", escape(note))
    return table


def _files(entries: tuple[FileEntry, ...]) -> Table:
    table = Table("file", "size", "sha256")
    for entry in entries:
        table.add_row(entry.path, megabytes(entry.size), entry.sha256[:16])
    table.add_row("all", megabytes(_size(entries)), "")
    return table


def _size(entries: Iterable[FileEntry]) -> int:
    return sum(entry.size for entry in entries)
