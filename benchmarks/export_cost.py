"""What an export costs: time against onnxruntime-genai's model builder, and memory, up to 1.5 billion parameters.

    python -m benchmarks.export_cost [--rounds 3] [--no-large] [--work FOLDER]

Every export is a fresh process, timed from its start to its end; the builders take turns. The nearest precision of
onnxruntime-genai is its ``int8`` for the CPU: MatMulNBits with symmetric 8-bit blocks of 32, as ours. But its embedding
stays in float32, beside an 8-bit copy of it for the head. Needs 7 GB of disk, 2 GB with ``--no-large``.
"""

from __future__ import annotations

import math
import resource
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks import record
from benchmarks.processes import Usage, run_measured
from edge_autoglm.demo.model import fetch_model
from edge_autoglm.export.sources import open_checkpoint

OWN, OWN_GGUF, GENAI = "edge-autoglm", "edge-autoglm from GGUF", "onnxruntime-genai"
_GENAI_PACKAGES = ("onnxruntime_genai", "torch", "transformers", "onnx_ir", "onnxruntime")
_ALLOWANCE = 400_000_000
_TENSORS_IN_MEMORY = 3
_MEGABYTE = 1e6
_FLOAT32_BYTES, _BFLOAT16_BYTES = 4, 2

Command = Callable[[Path], list[str]]
"""From the folder to write to, to the command that exports there."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Peak memory that an export may reach: the output, three of the largest tensor, and 400 MB.

    Attributes:
        stored: Bytes, with the tensor as the checkpoint stores it, in bfloat16.
        float32: Bytes, with the tensor in float32.
        output: Bytes that were written.
        largest: Values of the largest tensor.
    """

    stored: int
    float32: int
    output: int
    largest: int

    @classmethod
    def of(cls, checkpoint: Path, output: int) -> Limit:
        """Of a checkpoint folder and the size of what became of it."""
        source = open_checkpoint(str(checkpoint))
        largest = max(math.prod(source.shape(name)) for name in source.names())
        stored, float32 = (
            output + _TENSORS_IN_MEMORY * largest * width + _ALLOWANCE for width in (_BFLOAT16_BYTES, _FLOAT32_BYTES)
        )
        return cls(stored, float32, output, largest)


def own_command(source: Path) -> Command:
    """The command line of this package, in int8 without proof."""
    start = "from edge_autoglm.cli import main; main()"
    return lambda out: [sys.executable, "-c", start, "export", str(source), str(out), "--precision=int8", "--no-proof"]


def genai_command(source: Path, cache: Path) -> Command:
    """The builder of onnxruntime-genai, in int8 for the CPU."""
    builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(source)]
    return lambda out: [*builder, "-o", str(out), "-p", "int8", "-e", "cpu", "-c", str(cache)]


def import_command(module: str) -> Command:
    """Load what an export loads, and end: the share of the interpreter and the packages."""
    return lambda _: [sys.executable, "-c", f"import importlib; importlib.import_module({module!r})"]


def contestants(checkpoint: Path, cache: Path) -> tuple[dict[str, Command], dict[str, str]]:
    """Commands by name, and why one is missing."""
    commands = {
        OWN: own_command(checkpoint),
        OWN_GGUF: own_command(fetch_model()),
        f"{OWN}, imports only": import_command("edge_autoglm.export.build"),
    }
    absent = [package for package in _GENAI_PACKAGES if find_spec(package) is None]
    if absent:
        reason = f"not installed: {', '.join(absent)}"
        print(f"{GENAI} is left out: {reason}", flush=True)
        return commands, {GENAI: reason}
    commands[GENAI] = genai_command(checkpoint, cache)
    commands[f"{GENAI}, imports only"] = import_command("onnxruntime_genai.models.builder")
    return commands, {}


def measure(
    commands: dict[str, Command], rounds: int, folder: Path
) -> tuple[dict[str, list[float]], dict[str, dict[str, int]]]:
    """Samples ``NAME seconds`` and ``NAME peak RSS``, in bytes; and the files that each command wrote."""
    samples: dict[str, list[float]] = {f"{name} {kind}": [] for name in commands for kind in ("seconds", "peak RSS")}
    written: dict[str, dict[str, int]] = {}
    for number in range(rounds):
        for name, command in commands.items():
            usage, written[name] = run_export(command, folder)
            print(f"round {number + 1} of {rounds}, {name}: {_shown(usage)}", flush=True)
            samples[f"{name} seconds"].append(usage.seconds)
            samples[f"{name} peak RSS"].append(usage.peak_rss)
    return samples, written


def run_export(command: Command, folder: Path) -> tuple[Usage, dict[str, int]]:
    """Run one export; what it took, and the size of each file that it wrote. The output is deleted again."""
    out = folder / "out"
    usage = run_measured(command(out), folder / "log.txt")
    files = {str(path.relative_to(out)): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}
    shutil.rmtree(out, ignore_errors=True)
    return usage, files


def measure_large(folder: Path) -> dict[str, Any]:
    """Peak memory of the export of 1.5 billion random parameters, beside its limit."""
    checkpoint = folder / "qwen2"
    write_checkpoint("qwen2", checkpoint, folder)
    usage, files = run_export(own_command(checkpoint), folder)
    print(f"1.5 B parameters: {_shown(usage)}", flush=True)
    figures = _against_limit(usage.peak_rss, Limit.of(checkpoint, sum(files.values())))
    shutil.rmtree(checkpoint)
    return {"seconds": usage.seconds, **figures}


def write_checkpoint(kind: str, checkpoint: Path, folder: Path) -> None:
    """Let a process of its own write it, so that this one stays small."""
    print(f"writing the checkpoint {kind}", flush=True)
    run_measured([sys.executable, "-m", "benchmarks.checkpoints", kind, str(checkpoint)], folder / "log.txt")


def _against_limit(peak: float, limit: Limit) -> dict[str, Any]:
    return {
        "peak_rss": peak,
        "output_bytes": limit.output,
        "largest_tensor_values": limit.largest,
        "limit_tensor_as_stored": limit.stored,
        "limit_tensor_in_float32": limit.float32,
        "within_limit_as_stored": peak <= limit.stored,
    }


def _shown(usage: Usage) -> str:
    return f"{usage.seconds:.1f} s, peak {usage.peak_rss / _MEGABYTE:.0f} MB"


def _print(figures: dict[str, Any], medians: dict[str, float], written: dict[str, dict[str, int]]) -> None:
    table = Table("command", "seconds", "peak RSS, MB", "output, MB", title="Export of SmolLM2-135M to int8")
    for name, files in written.items():
        cells = (medians[f"{name} seconds"], medians[f"{name} peak RSS"] / _MEGABYTE, sum(files.values()) / _MEGABYTE)
        table.add_row(name, f"{cells[0]:.1f}", f"{cells[1]:.0f}", f"{cells[2]:.1f}")
    console = Console(width=110)
    console.print(table)
    for model in ("smollm2", "qwen2"):
        if model in figures:
            of = {key: value / _MEGABYTE for key, value in figures[model].items()}
            console.print(
                f"{model}: peak {of['peak_rss']:.0f} MB; limit {of['limit_tensor_as_stored']:.0f} MB, or "
                f"{of['limit_tensor_in_float32']:.0f} MB with the largest tensor in float32"
            )


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--large/--no-large", default=True, show_default=True, help="Also export 1.5 billion parameters, once.")
@click.option(
    "--work",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder on a disk (not in memory) for checkpoints and outputs; the system's temporary folder by default.",
)
def main(rounds: int, large: bool, work: Path | None) -> None:
    """Measure and write the record."""
    with TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        checkpoint = folder / "smollm2"
        write_checkpoint("smollm2", checkpoint, folder)
        commands, missing = contestants(checkpoint, folder / "cache")
        samples, written = measure(commands, rounds, folder)
        limit = Limit.of(checkpoint, sum(written[OWN].values()))
        figures: dict[str, Any] = {"left_out": missing, "written": written}
        figures["smollm2"] = _against_limit(max(samples[f"{OWN} peak RSS"]), limit)
        if large:
            figures["qwen2"] = measure_large(folder)
    medians = {key: statistics.median(values) for key, values in samples.items()}
    if GENAI in written:
        figures["time_ratio"] = medians[f"{OWN} seconds"] / medians[f"{GENAI} seconds"]
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    config = {"precision": "int8", "rounds": rounds, "large": large, "benchmark_peak_rss": own_peak}
    path = record.write("export_cost", config, samples, figures)
    _print(figures, medians, written)
    print(f"record: {path.name}")


if __name__ == "__main__":
    main()
