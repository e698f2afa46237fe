"""What several devices learnt, in one policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.reading import read_policy
from edge_autoglm.learn.statistics import read_statistics, write_statistics


def merge_statistics(
    sources: Sequence[Path | str], into: Path | str, policy: VariantPolicy | None = None
) -> VariantPolicy:
    """Add up what several devices learnt, and write it as one file of statistics.

    For context-free means and ridges that equals training on the union of their rewards, but for rounding.

    Args:
        sources: Files that ``Learner.export_statistics`` wrote, or state folders; each device once.
        into: File to write; what was there is replaced.
        policy: Settings that they learnt with, those of ``VariantPolicy()`` by default.

    Returns:
        The policy that knows it all.

    Raises:
        StateError: A file or folder cannot be read.
        StateDamaged: One is damaged or holds something else.
        PolicyError: One learnt with a policy of another kind or other settings.
        StateNotWritable: ``into`` cannot be written.
    """
    settings = VariantPolicy() if policy is None else policy
    merged = settings.clone()
    for source in map(Path, sources):
        merged.merge(_learnt(source, settings))
    write_statistics(Path(into), merged.state())
    return merged


def _learnt(source: Path, settings: VariantPolicy) -> VariantPolicy:
    if source.is_dir():
        return read_policy(source, settings)
    learnt = settings.clone()
    learnt.restore(read_statistics(source).policy)
    return learnt
