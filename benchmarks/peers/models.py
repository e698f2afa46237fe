"""The files that contestants run, all made from the same weights; each by the contestant's own tool."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.checkpoints import RANDOM_SHAPES, random_tensors, write_checkpoint
from benchmarks.llama_cpp_peer import load_library, make_file, quantize_file
from benchmarks.peers.random_bundle import write_random_bundle
from benchmarks.processes import run_measured
from edge_autoglm import export_model
from edge_autoglm.export.sources import open_checkpoint

PREPARED = "prepared.json"
CHECKPOINT = "hf"
TOKENIZER = f"{CHECKPOINT}/tokenizer.json"
SMOLLM2 = "smollm2"
MODELS = (SMOLLM2, "qwen2.5-0.5b", "glm-edge-1.5b")
OWN_PRECISIONS = ("int8", "w8a8", "int4")
GGUF_KINDS = ("Q8_0", "Q4_0", "Q4_K_M")
_GENAI_PRECISIONS = ("int8", "int4")
_RANDOM_SOURCE = "BF16.gguf"


@dataclass(frozen=True, slots=True)
class Preparation:
    """What to make, and of what.

    Attributes:
        model: Of `MODELS`.
        source: SmolLM2's GGUF file: the weights, or for random ones just the tokenizer.
        folder: Where everything goes; what is there already is kept.
        bundles: Precision -> bundle of ours that exists already.
        genai_python: Python that has onnxruntime-genai and what its builder needs.
    """

    model: str
    source: Path
    folder: Path
    bundles: Mapping[str, Path]
    genai_python: str

    def steps(self) -> Iterator[tuple[str, Callable[[Path], object]]]:
        """File or folder, and what makes it; the checkpoint comes first, because others are made from it."""
        checkpoint = self.folder / CHECKPOINT
        yield CHECKPOINT, lambda out: write_checkpoint(self.model, open_checkpoint(str(self.source)), out)
        for kind in GGUF_KINDS:
            yield f"{kind}.gguf", lambda _, kind=kind: self._gguf(kind)  # type: ignore[misc]
        own_source = self.source if self.model == SMOLLM2 else checkpoint
        for precision in OWN_PRECISIONS:
            if precision in self.bundles:
                target = self.bundles[precision].resolve()
                yield f"edge-{precision}", lambda out, target=target: os.symlink(target, out)  # type: ignore[misc]
            else:
                yield (
                    f"edge-{precision}",
                    lambda out, precision=precision: self._own(own_source, precision, out),  # type: ignore[misc]
                )
        for precision in _GENAI_PRECISIONS:
            yield f"genai-{precision}", lambda out, precision=precision: self._genai(precision, out)  # type: ignore[misc]

    def _own(self, source: Path, precision: str, out: Path) -> None:
        if self.model == SMOLLM2 or precision == "int8":
            export_model(source, out, precision, proof=False)
        else:
            write_random_bundle(source, self.folder / "edge-int8", precision, out)

    def _gguf(self, kind: str) -> None:
        library = load_library()
        if self.model == SMOLLM2:
            make_file(library, self.source, kind, self.folder)
            return
        plain = self.folder / _RANDOM_SOURCE
        if not plain.exists():
            from benchmarks.peers.random_gguf import write_random_gguf

            config = RANDOM_SHAPES[self.model]
            write_random_gguf(config, random_tensors(config, 0), self.source, plain)
        quantize_file(library, plain, kind)

    def _genai(self, precision: str, out: Path) -> None:
        """Its nearest settings: blocks of 32 as ours, symmetric at 8 bits; the embedding stays in float32."""
        command = [self.genai_python, "-m", "onnxruntime_genai.models.builder", "-i", str(self.folder / CHECKPOINT)]
        command += ["-o", str(out), "-p", precision, "-e", "cpu", "-c", str(self.folder / "cache")]
        run_measured(command, self.folder / "genai.log")


def prepare(preparation: Preparation, progress: Callable[[str], None]) -> dict[str, str]:
    """Make all files; file -> why it could not be made. Both are noted in the folder."""
    preparation.folder.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    for name, make in preparation.steps():
        out = preparation.folder / name
        if out.exists():
            continue
        progress(name)
        try:
            make(out)
        except Exception as error:
            # Other people's tools: whatever stops one of them, the others go on. Half an output is none.
            _remove(out)
            failed[name] = _last_line(error).replace(str(preparation.folder), "")
            progress(f"{name} cannot be made: {failed[name]}")
    _note(preparation, failed)
    return failed


def _last_line(error: Exception) -> str:
    """What a failed command printed last is what went wrong."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _remove(out: Path) -> None:
    if out.is_dir() and not out.is_symlink():
        shutil.rmtree(out)
    else:
        out.unlink(missing_ok=True)


def _note(preparation: Preparation, failed: Mapping[str, str]) -> None:
    content: dict[str, Any] = {"model": preparation.model, "source": preparation.source.name, "failed": failed}
    (preparation.folder / PREPARED).write_text(json.dumps(content, indent=1), encoding="utf-8")
