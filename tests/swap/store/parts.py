"""Generations to keep that need no engine: bundles of a few hundred bytes, and policies."""

from __future__ import annotations

from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.snapshot_format import encode
from edge_autoglm.swap.store.layout import BUNDLE, generation_folder
from edge_autoglm.swap.store.new import NewGeneration
from edge_autoglm.swap.store.record import GenerationRecord
from edge_autoglm.swap.store.store import GenerationStore
from tests.bundle.samples import CONTENTS, write_bundle
from tests.learn.streams import some_features

WEIGHTS = "engine/model.onnx.data"


def policy() -> VariantPolicy:
    """Its file is small."""
    return make_policy("ridge", seed=1, lambdas=(3.0,))


def policy_file(rewards: int) -> bytes:
    """A policy after so many rewards."""
    learning = policy()
    for number in range(rewards):
        learning.learn(some_features(number), "plain", 1.0)
    return encode(learning.freeze(feedbacks=rewards).state())


def a_bundle(folder: Path, prompts: int = 0, weights: bytes = b"w" * 5000) -> Bundle:
    """A bundle in a folder of its own below ``folder``."""
    changes = {WEIGHTS: weights, "prompts/mood.yaml": f"name: mood {prompts}\n".encode()}
    number = len(list(folder.glob("*.bundle")))
    return write_bundle(folder / f"{number}.bundle", {**CONTENTS, **changes})


def keep(store: GenerationStore, bundle: Bundle, rewards: int = 0, parent: int | None = None) -> GenerationRecord:
    """Add a generation, as a swap would that begins on what is active."""
    active = store.active()
    before = parent if parent is not None else None if active is None else active.number
    new = NewGeneration(store.last_number + 1, bundle, policy_file(rewards), "a test")
    return store.add(new, before, running=before)


def go_live(store: GenerationStore, bundle: Bundle, rewards: int = 0) -> GenerationRecord:
    """Add and activate one."""
    number = keep(store, bundle, rewards).number
    store.activate(number, {"mean_kl": 0.01})
    active = store.active()
    assert active is not None
    assert active.number == number
    return active


def stored(store: GenerationStore, number: int, path: str) -> Path:
    """A file of a kept generation's bundle."""
    return generation_folder(store.folder, number) / BUNDLE / path


def flip(path: Path, position: int) -> None:
    """Change one bit of a file, in a new file of that name: others that share it stay whole."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.unlink()
    path.write_bytes(content)
