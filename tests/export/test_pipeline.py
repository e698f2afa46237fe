"""An export appears whole or not at all."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm import Bundle, export_model
from edge_autoglm.errors import ExportError, SourceNotFound, TaskFileError, UnsupportedModel
from edge_autoglm.export.sources.safetensors_folder import SafetensorsFolder
from tests.checkpoints import write_tiny_llama


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "checkpoint")


def test_a_bundle_holds_what_the_runtime_needs(checkpoint: Path, tmp_path: Path) -> None:
    stages: dict[str, list[tuple[int, int]]] = {}
    export_model(checkpoint, tmp_path / "out", "int8", progress=lambda s, d, t: stages.setdefault(s, []).append((d, t)))
    bundle = Bundle.open(tmp_path / "out")
    facts = bundle.manifest.model
    assert (facts.family, facts.layers, facts.kv_heads, facts.head_dim, facts.vocab_size) == ("llama", 2, 2, 16, 320)
    assert facts.eos_token_ids == (2,)
    assert bundle.engine("ort").precision == "int8"
    assert bundle.engine("ort").groups
    assert bundle.manifest.verification["within_budget"]
    assert bundle.chat_template is not None
    assert "sentiment.yaml" in [file.name for file in bundle.task_files()]
    assert stages["weights"][-1] == stages["reference"][-1] == (4, 4)
    assert stages["perplexity"][-1] == (12, 12)
    assert stages["generations"][-1] == (64, 64)


def test_the_same_checkpoint_gives_the_same_engine(checkpoint: Path, tmp_path: Path) -> None:
    first = export_model(checkpoint, tmp_path / "a", "int8", proof=False)
    second = export_model(checkpoint, tmp_path / "b", "int8", proof=False)
    assert first.fingerprint == second.fingerprint
    assert export_model(checkpoint, tmp_path / "c", "fp32", proof=False).fingerprint != first.fingerprint


def test_an_existing_bundle_is_replaced_only_with_force(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_model(checkpoint, out, "int8", proof=False)
    with pytest.raises(ExportError, match="out"):
        export_model(checkpoint, out, "fp32")
    assert Bundle.open(out).engine("ort").precision == "int8"
    replaced = export_model(checkpoint, out, "fp32", proof=False, force=True)
    assert replaced.engine("ort").precision == "fp32"


def test_a_failed_export_leaves_nothing_and_spares_the_old_bundle(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    old = export_model(checkpoint, out, "int8", proof=False).digest
    read = SafetensorsFolder.read

    def poisoned(self: SafetensorsFolder, name: str) -> np.ndarray:
        array = read(self, name).copy()
        if name == "model.layers.1.mlp.down_proj.weight":
            array[3, 4] = np.nan
        return array

    monkeypatch.setattr(SafetensorsFolder, "read", poisoned)
    before = sorted(tmp_path.iterdir())
    for target in (out, tmp_path / "new"):
        with pytest.raises(UnsupportedModel, match=r"model\.layers\.1\.mlp\.down_proj\.weight holds NaN"):
            export_model(checkpoint, target, "int8", force=True)
    assert Bundle.open(out).digest == old
    assert sorted(tmp_path.iterdir()) == before


def test_an_interrupted_export_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "weights" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(checkpoint, tmp_path / "out", progress=interrupt)
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    # A limit on the size of a file makes the write itself fail, as a full disk does, without needing a mount.
    script = f"""
        import signal, resource
        from edge_autoglm.cli import main
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        main(["export", {str(checkpoint)!r}, {str(tmp_path / "out")!r}])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    assert str(tmp_path / "out") in message.replace("\n", "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20_000


@pytest.mark.parametrize(("precision", "target", "named"), [("int3", "ort", "int3"), ("int8", "tpu", "tpu")])
def test_an_unknown_choice_is_named(checkpoint: Path, tmp_path: Path, precision: str, target: str, named: str) -> None:
    with pytest.raises(ExportError, match=named):
        export_model(checkpoint, tmp_path / "out", precision, target)


def test_bad_sources_and_tasks_write_nothing(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"nowhere\.gguf"):
        export_model(tmp_path / "nowhere.gguf", tmp_path / "out")
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\n")
    with pytest.raises(TaskFileError, match=r"bad\.yaml"):
        export_model(checkpoint, tmp_path / "out", tasks=[bad])
    assert not (tmp_path / "out").exists()


def test_names_with_odd_shapes_survive(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "Modell mit Leerzeichen und 中文")
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "_name_or_path": "org/tiny"}))
    assert export_model(folder, tmp_path / "out", proof=False).manifest.model.name == "org/tiny"


def test_running_out_of_memory_is_said_so(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_: SafetensorsFolder, name: str) -> np.ndarray:  # type: ignore[type-arg]
        raise MemoryError(name)

    monkeypatch.setattr(SafetensorsFolder, "read", exhausted)
    with pytest.raises(ExportError, match=r"not enough memory to export .*checkpoint.*larger machine"):
        export_model(checkpoint, tmp_path / "out", "int8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]


@pytest.mark.parametrize(
    ("precision", "kv", "forms"),
    [("w8a8", "int8", {"w8a8"}), ("int4", "fp16", {"int4", "int4/32", "int8"}), ("auto", "fp32", set())],
)
def test_mixed_precisions_say_what_is_stored_how(
    checkpoint: Path, tmp_path: Path, precision: str, kv: str, forms: set[str]
) -> None:
    engine = export_model(checkpoint, tmp_path / "out", precision, kv=kv, max_kl=0.5).engine("ort")
    assert engine.kv_type == kv
    assert set(engine.groups) == {"embedding and head", "qkv", "output", "gate_up", "down"}
    named = {
        form for name in ("qkv", "down") for form in ("int4/32", "int4", "int8", "w8a8") if form in engine.groups[name]
    }
    assert named <= (forms or named)
    assert named


def test_a_short_calibration_text_is_refused_by_name(checkpoint: Path, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("Far too little. " * 20, encoding="utf-8")
    with pytest.raises(ExportError, match=r"short\.txt has \d+ tokens.*Give a longer text"):
        export_model(checkpoint, tmp_path / "out", "int4", calibration=text)


def test_a_budget_that_no_mixture_keeps_ends_in_a_refusal(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="auto differs from the original by more than it may"):
        export_model(checkpoint, tmp_path / "out", "auto", max_kl=0.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]
