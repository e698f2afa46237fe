"""Thousands of damaged files: each is read or refused with an error of this package, without hanging or bloating."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.errors import EdgeAutoGLMError
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.sources.gguf_header import read_header
from tests.checkpoints import write_tiny_llama
from tests.export_sources.mutations import mutate_gguf, mutate_json, mutate_safetensors
from tests.export_sources.tiny_gguf import llama_cpp_tensors, tiny_metadata, write_gguf

INTERPRETER_OBJECTS = 1 << 19
"""Bytes beside twice the file: parsed texts and tables as Python objects, messages, the package's own caches."""
Mutation = Callable[[bytes, random.Random], bytes]


def exercise(source: str) -> str:
    """Open, look at everything, read everything. Returns how far it came."""
    try:
        checkpoint = open_checkpoint(source)
    except EdgeAutoGLMError:
        return "refused"
    outcome = "read"
    for name in checkpoint.names():
        try:
            values = checkpoint.read(name)
        except EdgeAutoGLMError:
            outcome = "opened"
            continue
        assert (values.shape, values.dtype) == (checkpoint.shape(name), np.float32)
        del values
    try:
        checkpoint.tokenizer()
    except EdgeAutoGLMError:
        outcome = "opened"
    return outcome


def fuzz(source: Path, files: dict[Path, Mutation], cases: int, seed: int) -> Counter[str]:
    """Exercise ``source`` with one of its files damaged, and check what it took."""
    rng, originals, outcomes = random.Random(seed), {file: file.read_bytes() for file in files}, Counter[str]()
    exercise(str(source))  # what is imported and cached once is not the file's
    tracemalloc.start()
    try:
        for case in range(cases):
            file = rng.choices(list(files), weights=[3 if "safetensors" in file.suffix else 1 for file in files])[0]
            damaged = files[file](originals[file], rng)
            file.write_bytes(damaged)
            limit = 2 * sum(path.stat().st_size for path in originals) + INTERPRETER_OBJECTS
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            try:
                outcomes[exercise(str(source))] += 1
            except Exception as error:
                raise AssertionError(f"case {case}, seed {seed}, {file.name}: {error!r}") from error
            peak = tracemalloc.get_traced_memory()[1] - before
            assert peak <= limit, f"case {case}, seed {seed}, {file.name}: {peak} bytes, the limit is {limit}"
            file.write_bytes(originals[file])
    finally:
        tracemalloc.stop()
    return outcomes


def fuzz_folder(folder: Path, cases: int, seed: int) -> Counter[str]:
    write_tiny_llama(folder, shards=2, tied=False, dtype="BF16")
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 0], "temperature": 0.7}')
    files: dict[Path, Mutation] = {
        file: mutate_safetensors if file.suffix == ".safetensors" else mutate_json for file in sorted(folder.iterdir())
    }
    return fuzz(folder, files, cases, seed)


def fuzz_gguf(folder: Path, cases: int, seed: int) -> Counter[str]:
    original = open_checkpoint(str(write_tiny_llama(folder / "tiny", tied=False)))
    path = write_gguf(folder / "tiny.gguf", tiny_metadata(), llama_cpp_tensors(original), "F16")
    content = path.read_bytes()
    table = (content.index(b"token_embd.weight") - 8, min(t.offset for t in read_header(path).tensors.values()))
    return fuzz(path, {path: lambda data, rng: mutate_gguf(data, table, rng)}, cases, seed)


@pytest.mark.parametrize("fuzz_format", [fuzz_folder, fuzz_gguf])
def test_three_hundred_damaged_files(fuzz_format: Callable[[Path, int, int], Counter[str]], tmp_path: Path) -> None:
    outcomes = fuzz_format(tmp_path, 300, 0)
    # Damage that always or never mattered would prove little.
    assert outcomes["refused"] >= 50
    assert outcomes["read"] >= 10


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("fuzz_format", [fuzz_folder, fuzz_gguf])
def test_five_thousand_damaged_files(fuzz_format: Callable[[Path, int, int], Counter[str]], tmp_path: Path) -> None:
    outcomes = fuzz_format(tmp_path, 2500, 1)
    assert outcomes["refused"] >= 500
    assert outcomes["read"] >= 100
