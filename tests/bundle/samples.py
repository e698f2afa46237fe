"""Real bundles, a few hundred bytes each."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_autoglm.bundle import Bundle, BundleWriter, EngineEntry, ModelFacts, PlanEntry

FACTS = ModelFacts(
    name="tiny",
    family="llama",
    parameters=1234,
    vocab_size=32,
    hidden_size=16,
    layers=2,
    kv_heads=1,
    head_dim=8,
    context_length=64,
    eos_token_ids=(2, 5),
    bos_token="<s>",
    eos_token=None,
    add_bos=True,
)
ENGINE = EngineEntry(
    kind="ort",
    graph="engine/model.onnx",
    precision="int8",
    kv_type="fp32",
    groups={"embedding": "int8", "layers 0-1 down": "fp16"},
    notes=("made by hand",),
)
PLAN = PlanEntry(
    path="plans/tiny.plan",
    library="tensorrt_rtx",
    version="1.7.1",
    compute_capabilities=("8.6", "8.9"),
    platform="linux-x86_64",
    rows=4,
    page=128,
    head_rows=32,
)
PLANNED = dataclasses.replace(ENGINE, kind="standard", plans=(PLAN,), columns=128)
CONTENTS: Mapping[str, bytes] = {
    "engine/model.onnx": b"graph",
    "engine/model.onnx.data": bytes(range(256)),
    "tokenizer.json": b"{}",
    "chat_template.jinja": "{{ messages }}\r\n\u4f60".encode(),
    "prompts/topic.yaml": b"name: topic\n",
    "prompts/mood.yaml": b"name: mood\n",
}

FILES = (*CONTENTS, "manifest.json")


def write_bundle(out: Path, contents: Mapping[str, bytes] = CONTENTS, overwrite: bool = False) -> Bundle:
    """A bundle with these files."""
    with BundleWriter(out, overwrite) as writer:
        stage(writer, contents)
        return commit(writer)


def write_planned_bundle(out: Path, plan: bytes = b"plan") -> Bundle:
    """A bundle whose engine has a plan."""
    with BundleWriter(out) as writer:
        stage(writer, {**CONTENTS, PLAN.path: plan})
        return commit(writer, PLANNED)


def stage(writer: BundleWriter, contents: Mapping[str, bytes] = CONTENTS) -> None:
    """Write the files into an open writer."""
    for path, data in contents.items():
        writer.path(path).write_bytes(data)


def commit(writer: BundleWriter, engine: EngineEntry = ENGINE) -> Bundle:
    """Commit what was staged, with facts of a tiny model."""
    return writer.commit(model=FACTS, engines=[engine], source="tiny.gguf", verification={"kl": [0.25]})


def tree(folder: Path) -> dict[str, bytes]:
    """Path and content of every file below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def forbid(path: Path) -> None:
    """Take all permissions from a file or folder; skips the test for a user who may read everything all the same."""
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
