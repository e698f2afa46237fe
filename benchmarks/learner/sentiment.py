"""Prompt variants as arms: the recorded right and wrong answers of the real model are the rewards."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.learner.snippets import REWARDS, TASK, read_rows
from benchmarks.learner.stream import Stream, shuffled
from edge_autoglm.learn.context.featurise import featurise

SNIPPETS = Path(__file__).parents[2].parent / "shared" / "data" / "sentiment"
"""Where the snippets lie in the project's own workplace."""


def sentiment_stream(split: str, folder: Path, file: Path = REWARDS) -> Callable[[int, int], Stream]:
    """The maker of a stream over the snippets of a split."""
    return lambda seed, limit: shuffled(_answered(split, folder, file), seed, limit)


@lru_cache(maxsize=2)
def _answered(split: str, folder: Path, file: Path) -> Stream:
    content = json.loads(file.read_text(encoding="utf-8"))
    blocks = [block for block in content["blocks"] if block["split"] == split]
    features, rewards = [], []
    for block in blocks:
        marks = np.array([[float(mark) for mark in block["right"][name]] for name in content["variants"]]).T
        rows = read_rows(folder, block["domain"], split, len(marks))
        features += [featurise(TASK, {"text": text}, {"domain": rows.domain}) for text in rows.texts]
        rewards.append(marks)
    return Stream(tuple(content["variants"]), tuple(features), np.concatenate(rewards))
