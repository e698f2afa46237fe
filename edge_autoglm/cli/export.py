"""``edge-autoglm export``."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from edge_autoglm.bundle import Bundle
from edge_autoglm.cli.output import console, json_option, megabytes, progress_bars, write_json
from edge_autoglm.cli.plan_table import plan_table
from edge_autoglm.cli.proof_table import proof_table
from edge_autoglm.export.options import KV_TYPES, PRECISIONS, ROUTES, TARGETS
from edge_autoglm.export.pipeline import export_model
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.export.standard.lowering import LOWERINGS, LoweringName


@click.command()
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="int8",
    show_default=True,
    help="Of the weights. fp32 and fp16 keep the model as it is; int8 halves fp16 and is hardly to be told from it; "
    "w8a8 also computes in 8 bits: fastest on long prompts; int4 is the smallest; auto mixes them layer by layer for "
    "the fastest model within --max-kl.",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="ort",
    show_default=True,
    help="What runs it: ONNX Runtime, or TensorRT on NVIDIA devices.",
)
@click.option(
    "--kv",
    type=click.Choice(KV_TYPES),
    help="Of the KV cache: fp32 by default; int8 takes a quarter. For tensorrt it is fp16, and no choice.",
)
@click.option(
    "--capacity",
    type=click.IntRange(min=1),
    metavar="N",
    help="For tensorrt: tokens that a slot can hold; 2048 by default, or what the model was made for.",
)
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    metavar="N",
    help="For tensorrt: rows that decode in one step of the plan; 4 by default.",
)
@click.option(
    "--compute-capability",
    "compute_capabilities",
    multiple=True,
    metavar="X",
    help="For tensorrt: GPUs that the plan is for, such as 8.9; repeatable. By default those that are here; where "
    "there are none, all from 8.0 on that TensorRT-RTX knows.",
)
@click.option(
    "--lowering",
    type=click.Choice(LOWERINGS),
    help="For tensorrt: native by default; decomposed is for TensorRT before 10.15, as that of JetPack 6, and copies "
    "the live part of the cache in each step.",
)
@click.option(
    "--no-plan",
    is_flag=True,
    help="For tensorrt: do not compile a plan; `edge-autoglm rebuild` does it on the device.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="UTF-8 text that w8a8, int4 and auto are fitted to: 100 kB of what the model will meet. A mixed text ships "
    "with the package.",
)
@click.option("--adapter", type=click.Path(path_type=Path), help="Folder of a PEFT LoRA adapter to merge first.")
@click.option(
    "--max-kl",
    type=click.FloatRange(min=0),
    metavar="X",
    help="Largest mean KL divergence from the original, in nats a token, in place of the precision's own budget. "
    "0.005 is hardly to be noticed, 0.05 a good 4-bit model, 0.3 a poor one.",
)
@click.option(
    "--via",
    type=click.Choice(ROUTES),
    default="auto",
    show_default=True,
    help="Who builds the graph: our own builder (faster models), or Optimum for architectures that it does not know.",
)
@click.option("--no-proof", is_flag=True, help="Do not compare the result with the original; the bundle says so.")
@click.option(
    "--task",
    "tasks",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Task file to ship; repeatable. The built-in tasks by default.",
)
@click.option(
    "--force", is_flag=True, help="Replace a bundle that lies at OUT, and ship a model that is beyond its budget."
)
@json_option
def command(
    source: str,
    out: Path,
    precision: str,
    target: str,
    kv: str | None,
    capacity: int | None,
    slots: int | None,
    compute_capabilities: tuple[str, ...],
    lowering: LoweringName | None,
    no_plan: bool,
    calibration: Path | None,
    adapter: Path | None,
    max_kl: float | None,
    via: str,
    no_proof: bool,
    tasks: tuple[Path, ...],
    force: bool,
    json_file: Path | None,
) -> None:
    """Turn the checkpoint SOURCE into the bundle folder OUT, and prove that it still behaves like the original.

    SOURCE is a .gguf file, a folder with config.json and safetensors, or a Hugging Face hub id. At the end the bundle
    and the float32 original predict the same held-out text and answer the same questions; a bundle that differs by more
    than its precision may is refused. OUT appears whole or not at all; nothing is left behind when the export fails.

    For tensorrt, the graph is proven as ONNX Runtime runs it, and compiled to a plan by the TensorRT that is installed.
    TensorRT-RTX needs no GPU for that.

    \b
    edge-autoglm export SmolLM2-135M-Instruct.Q4_1.gguf smollm2.bundle
    edge-autoglm export ./checkpoint model.bundle --precision int4 --calibration my_texts.txt
    edge-autoglm export HuggingFaceTB/SmolLM2-135M-Instruct smollm2.bundle --precision auto --max-kl 0.05
    edge-autoglm export ./checkpoint model.bundle --target tensorrt --compute-capability 8.9
    """
    started = time.perf_counter()
    with progress_bars() as progress:
        bundle = export_model(
            source,
            out,
            precision,
            target,
            calibration=calibration,
            adapter=adapter,
            kv=kv,
            max_kl=max_kl,
            via=via,
            proof=not no_proof,
            tasks=list(tasks) or None,
            force=force,
            capacity=capacity,
            slots=slots,
            compute_capabilities=compute_capabilities,
            plan=not no_plan,
            lowering=lowering,
            progress=progress,
        )
    seconds = time.perf_counter() - started
    _show(bundle, out, seconds)
    write_json(json_file, _figures(bundle, out, seconds))


def _show(bundle: Bundle, out: Path, seconds: float) -> None:
    model, [engine] = bundle.manifest.model, bundle.manifest.engines
    table = Table(title=str(out), show_header=False)
    table.add_row("model", f"{model.name} ({model.family}, {model.parameters / 1e6:.1f} M parameters)")
    table.add_row("precision", f"{engine.precision}, KV {engine.kv_type}")
    table.add_row("size", megabytes(_size(bundle)))
    table.add_row("fingerprint", bundle.fingerprint)
    table.add_row("time", f"{seconds:.1f} s")
    for note in engine.notes:
        table.add_row("note", escape(note))
    console.print(table)
    if engine.plans:
        sizes = {entry.path: entry.size for entry in bundle.manifest.files}
        console.print(plan_table([(plan, sizes[plan.path]) for plan in engine.plans]))
    proof = Proof.from_json(bundle.manifest.verification)
    if proof is None:
        console.print("Not proven: it was not compared with the original.")
        return
    console.print(proof_table(proof, "compared with the original"))
    if not proof.within_budget:
        console.print(f"Shipped by force although beyond its budget: {', '.join(proof.excesses())}.", soft_wrap=True)


def _figures(bundle: Bundle, out: Path, seconds: float) -> dict[str, object]:
    manifest = bundle.manifest
    [engine] = manifest.engines
    return {
        "bundle": str(out),
        "model": manifest.model.name,
        "parameters": manifest.model.parameters,
        "precision": engine.precision,
        "kv": engine.kv_type,
        "plans": [asdict(plan) for plan in engine.plans],
        "notes": list(engine.notes),
        "bytes": _size(bundle),
        "fingerprint": bundle.fingerprint,
        "verification": manifest.verification,
        "seconds": seconds,
    }


def _size(bundle: Bundle) -> int:
    return sum(entry.size for entry in bundle.manifest.files)
