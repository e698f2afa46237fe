"""What a request shows its model besides its inputs: solved examples and passages from the runtime's stores."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from itertools import chain, zip_longest
from random import Random
from typing import TYPE_CHECKING

from edge_autoglm.errors import MissingDependency, StateError
from edge_autoglm.facade.asked import Asked
from edge_autoglm.facade.stores import Stores
from edge_autoglm.prompts import Task, Variant
from edge_autoglm.prompts.retrieved import Retrieved, Shot, ShotsWanted

if TYPE_CHECKING:
    from edge_autoglm.knowledge.examples import Example, ExampleStore

_log = logging.getLogger("edge_autoglm")


class Retriever:
    """Selects for one request after the other, alike for alike requests and stores. Thread-safe.

    Args:
        stores: Of the runtime.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def bring(self, asked: Asked, task: Task, variant: Variant) -> Asked:
        """The request with what its variant wants to show; the very same one where that is nothing.

        A store that cannot be used costs the examples, not the answer: it is logged.
        """
        if (variant.shots is None and variant.passages is None) or not self._stores.exists:
            return asked
        try:
            return replace(asked, retrieved=self._retrieved(task, variant, asked.inputs))
        except (StateError, MissingDependency) as error:
            _log.warning("task %s, variant %s is asked without examples: %s", task.name, variant.name, error)
            return asked

    def _retrieved(self, task: Task, variant: Variant, inputs: Mapping[str, str]) -> Retrieved:
        opened = self._stores.open()
        shots = () if variant.shots is None else _shots(opened.examples, task, variant.shots, inputs)
        passages: tuple[str, ...] = ()
        if variant.passages is not None:
            passages = tuple(found.text for found in opened.documents.search(_query(inputs), variant.passages.count))
        return Retrieved(shots, passages)


def _shots(store: ExampleStore, task: Task, wanted: ShotsWanted, inputs: Mapping[str, str]) -> tuple[Shot, ...]:
    found = _selected(store, task, wanted, inputs)
    return tuple(Shot(one.inputs, one.answer) for one in found if _suits(one, task))[: wanted.count]


def _selected(store: ExampleStore, task: Task, wanted: ShotsWanted, inputs: Mapping[str, str]) -> Iterable[Example]:
    if wanted.select == "recent":
        return store.recent(task.name, wanted.count)
    if wanted.select == "random":
        return store.random(task.name, wanted.count, Random(_seed(task, inputs)))
    if wanted.select == "similar":
        return store.similar(task.name, inputs, wanted.count)
    by_label = [store.similar(task.name, inputs, wanted.count, label) for label in task.labels]
    return [one for one in chain.from_iterable(zip_longest(*by_label)) if one is not None]


def _suits(example: Example, task: Task) -> bool:
    """Whether it is one of the task as it is now: another bundle may know it with other inputs or labels."""
    return set(example.inputs) == set(task.inputs) and (not task.labels or example.answer in task.labels)


def _query(inputs: Mapping[str, str]) -> str:
    return "\n".join(inputs.values())


def _seed(task: Task, inputs: Mapping[str, str]) -> int:
    """The same for the same request, so that it gets the same examples again."""
    content = json.dumps([task.name, sorted(inputs.items())]).encode()
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")
