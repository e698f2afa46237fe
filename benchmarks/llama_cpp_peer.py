"""llama.cpp as a peer: GGUF files made from the very weights that our exporter reads, run through its C interface."""

from __future__ import annotations

import ctypes
import importlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from edge_autoglm.device.threads import default_threads
from edge_autoglm.export.sources.gguf_header import read_header
from edge_autoglm.export.sources.gguf_types import type_name
from edge_autoglm.runtime.engine import Logits

UNQUANTISED = "F32"
FILE_TYPES = {UNQUANTISED: 0, "Q8_0": 7, "Q4_0": 2, "Q4_K_M": 15}
"""Names of llama.cpp's ``llama_ftype``. The 4-bit ones keep an embedding that is the head too at 6 or 8 bits."""
_LARGEST_STEP = 2048


def tensor_types(path: Path) -> dict[str, int]:
    """Type -> number of tensors. Rows that no K-quant fits get another type than the one that names the file."""
    return dict(Counter(type_name(entry.ggml_type) for entry in read_header(path).tensors.values()))


def load_library() -> Any:
    """The package ``llama_cpp``, silenced: what goes wrong is in its return values.

    Raises:
        ImportError: It is not installed.
    """
    library = importlib.import_module("llama_cpp")
    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)
    return library


def make_file(library: Any, source: Path, kind: str, folder: Path) -> Path:
    """Write ``KIND.gguf`` from the dequantised weights of a GGUF file.

    Args:
        library: From `load_library`.
        source: A GGUF file of any type.
        kind: Of `FILE_TYPES`.
        folder: Where the file goes, and the float32 file that it is quantised from.

    Raises:
        RuntimeError: llama.cpp cannot quantise it.
    """
    plain = folder / f"{UNQUANTISED}.gguf"
    if not plain.exists():
        _write_dequantised(source, plain)
    if kind == UNQUANTISED:
        return plain
    return quantize_file(library, plain, kind)


def quantize_file(library: Any, plain: Path, kind: str) -> Path:
    """Write ``KIND.gguf`` beside an unquantised file.

    Raises:
        RuntimeError: llama.cpp cannot quantise it.
    """
    path = plain.with_name(f"{kind}.gguf")
    params = library.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[kind]
    params.nthread = default_threads()
    if library.llama_model_quantize(str(plain).encode(), str(path).encode(), ctypes.byref(params)):
        raise RuntimeError(f"llama.cpp cannot quantise {plain.name} to {kind}")
    return path


class LlamaCppModel:
    """A GGUF file in llama.cpp, on as many threads as our engines. Implements `Contestant`.

    Its KV cache is float16 and its choice of attention kernel is its own: what a user gets who sets nothing.
    """

    def __init__(self, library: Any, path: Path, capacity: int) -> None:
        self.name = f"llama.cpp {path.stem}"
        self.nbytes = path.stat().st_size
        self._library = library
        self._model = library.llama_model_load_from_file(str(path).encode(), library.llama_model_default_params())
        params = library.llama_context_default_params()
        params.n_ctx = capacity
        params.n_batch = params.n_ubatch = min(capacity, _LARGEST_STEP)
        params.n_threads = params.n_threads_batch = default_threads()
        self._context = library.llama_init_from_model(self._model, params)
        if not self._context:
            raise RuntimeError(f"llama.cpp cannot open {path.name}")
        self._vocab_size = library.llama_vocab_n_tokens(library.llama_model_get_vocab(self._model))
        self._batch = library.llama_batch_init(params.n_batch, 0, 1)
        self._length = 0

    def logits(self, tokens: Sequence[int]) -> Logits:
        """See `Contestant`."""
        self._clear()
        return self._run(tokens, everywhere=True)

    def prefill(self, tokens: Sequence[int]) -> None:
        """See `Contestant`."""
        self._clear()
        self._run(tokens, everywhere=False)

    def decode(self, token: int) -> None:
        """See `Contestant`."""
        self._run([token], everywhere=False)

    def close(self) -> None:
        """See `Contestant`."""
        self._library.llama_batch_free(self._batch)
        self._library.llama_free(self._context)
        self._library.llama_model_free(self._model)

    def _clear(self) -> None:
        self._library.llama_memory_clear(self._library.llama_get_memory(self._context), True)
        self._length = 0

    def _run(self, tokens: Sequence[int], *, everywhere: bool) -> Logits:
        """Append tokens; logits behind all of them or behind the last one."""
        count, batch = len(tokens), self._batch
        batch.n_tokens = count
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = self._length + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = everywhere or index == count - 1
        if status := self._library.llama_decode(self._context, batch):
            raise RuntimeError(f"{self.name}: llama_decode returned {status}")
        self._length += count
        rows = count if everywhere else 1
        # Reading the logits waits for the computation, and the copy is one that our engines make too.
        address = self._library.llama_get_logits(self._context)
        return np.ctypeslib.as_array(address, shape=(rows, self._vocab_size)).copy()


def _write_dequantised(source: Path, path: Path) -> None:
    """The same GGUF file with every tensor in float32, dequantised by the package that our exporter uses too."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
    writer = gguf.GGUFWriter(path, architecture)
    own = {gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE, gguf.Keys.General.QUANTIZATION_VERSION}
    copy_metadata(reader, writer, lambda name: name not in own and not name.startswith("GGUF."))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    write_out(writer)


def copy_metadata(reader: gguf.GGUFReader, writer: gguf.GGUFWriter, wanted: Callable[[str], bool]) -> None:
    """Copy the key-value pairs of a file whose names are wanted."""
    for name, field in reader.fields.items():
        if wanted(name):
            kind = field.types[0]
            items = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), kind, sub_type=items)


def write_out(writer: gguf.GGUFWriter) -> None:
    """Write a file whose metadata and tensors are complete."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
