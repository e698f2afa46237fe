"""Copies of a bundle with damaged weights whose manifest is made to fit, as a broken build or an attacker would."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.bundle import Bundle, Manifest
from edge_autoglm.bundle.checksums import hash_files
from edge_autoglm.bundle.staging import files_below

Weights = Mapping[str, npt.NDArray[Any]]
"""The graph's weights by name, to be changed in place."""

DATA = "engine/model.onnx.data"


def damaged_copy(bundle: Bundle, out: Path, damage: Callable[[Weights], None]) -> Path:
    """A bundle with other weights and a manifest that says so."""
    copy_bundle(bundle, out)
    edit_weights(out, damage)
    reseal(out)
    return out


def edit_weights(root: Path, damage: Callable[[Weights], None]) -> None:
    """Change weights in their file; the manifest stays."""
    file = root / DATA
    data = np.fromfile(file, dtype=np.uint8)
    damage(_views(root / "engine/model.onnx", data))
    data.tofile(file)


def copy_bundle(bundle: Bundle, out: Path) -> Path:
    """A copy, file by file: a link would damage the original."""
    return Path(shutil.copytree(bundle.root, out))


def reseal(root: Path, **changes: Any) -> None:
    """Write a manifest that fits the files as they are.

    Args:
        root: Folder of the bundle.
        changes: Of the manifest's fields.
    """
    file = root / "manifest.json"
    manifest = Manifest.from_json(file.read_text())
    paths = [path for path in files_below(root) if path not in ("manifest.json", "signature.json")]
    files = tuple(hash_files(root, paths, ""))
    file.write_text(dataclasses.replace(manifest, files=files, **changes).to_json())


def _views(graph: Path, data: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
    import onnx

    types = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.UINT8: np.uint8}
    views = {}
    for tensor in onnx.load(str(graph), load_external_data=False).graph.initializer:
        place = {entry.key: entry.value for entry in tensor.external_data}
        if place and tensor.data_type in types:
            begin = int(place.get("offset", 0))
            part = data[begin : begin + int(place["length"])]
            views[tensor.name] = part.view(types[tensor.data_type]).reshape(tuple(tensor.dims))
    return views


def int4_garbage(layer: int, seed: int = 0) -> Callable[[Weights], None]:
    """Fills the 8-bit matrices of a layer with random levels of 4 bits."""

    def damage(weights: Weights) -> None:
        rng = np.random.default_rng(seed)
        for name, values in weights.items():
            if name.startswith(f"layer.{layer}.") and values.dtype == np.uint8:
                values[...] = rng.integers(0, 16, values.shape) * 16

    return damage
