"""Record the logits that transformers computes for the tiny models of every family.

Run from the repository's root, in an environment with the extras ``test`` and ``oracle``; it rewrites the file that
tests/export/test_family_recorded.py reads::

    python -m tests.oracles.record_families
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import transformers

from tests.oracles.family_cases import CASES, Config, token_ids, write_case

RECORD = Path(__file__).parents[1] / "export" / "data" / "family_logits.npz"
POSITIONS = (0, 1, 6, 15, 31, 39)
"""Tokens of the first sequence whose logits are kept: before, at and beyond the attention windows."""


def record(config: Config, folder: Path) -> npt.NDArray[np.float32]:
    """Logits ``[len(POSITIONS), vocab]``.

    Raises:
        ValueError: transformers did not find its tensors in the checkpoint, or found others.
    """
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        write_case(folder, config), dtype=torch.float32, output_loading_info=True
    )
    wrong = {kind: names for kind, names in info.items() if names}
    if wrong:
        raise ValueError(f"{folder.name}: {wrong}")
    with torch.no_grad():
        logits: npt.NDArray[np.float32] = model.eval()(torch.tensor(token_ids()[:1])).logits[0].numpy()
    return logits[list(POSITIONS)]


def main() -> None:
    """Record all cases."""
    with tempfile.TemporaryDirectory() as folder:
        logits = {name: record(config, Path(folder) / name) for name, config in CASES.items()}
    RECORD.parent.mkdir(exist_ok=True)
    np.savez_compressed(RECORD, allow_pickle=False, positions=np.array(POSITIONS), **logits)


if __name__ == "__main__":
    main()
