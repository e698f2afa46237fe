"""The original of an adapted bundle is the checkpoint with the adapter merged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edge_autoglm import export_model
from edge_autoglm.export.proof.against import verify_against
from tests.checkpoints import write_safetensors


def _write_adapter(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    prefix = "base_model.model.model.layers.1.mlp.down_proj.lora_"
    write_safetensors(
        folder / "adapter_model.safetensors",
        {
            f"{prefix}A.weight": rng.standard_normal((4, 96), dtype=np.float32),
            f"{prefix}B.weight": rng.standard_normal((64, 4), dtype=np.float32),
        },
    )
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 4, "target_modules": ["down_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_an_adapted_bundle_is_proven_against_the_adapted_model(checkpoint: Path, tmp_path: Path) -> None:
    adapter = _write_adapter(tmp_path / "adapter")
    bundle = export_model(checkpoint, tmp_path / "out", "int8", adapter=adapter)
    assert bundle.manifest.verification["within_budget"]
    assert verify_against(bundle, str(checkpoint), adapter=adapter).within_budget
    assert not verify_against(bundle, str(checkpoint)).within_budget
