"""What two generations have in common, so that it is neither computed nor checked twice."""

from __future__ import annotations

from edge_autoglm.prompts.catalogue import Catalogue
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.runtime.model import LanguageModel


def same_model(one: LanguageModel, other: LanguageModel) -> bool:
    """Whether both read and answer every prompt alike: equal weights and tokenizer, and one chat template.

    Templates are compared as objects: forks of a model have the same one.
    """
    return one.fingerprint == other.fingerprint and one.chat is other.chat


def same_variant(task: Task, variant: Variant, catalogue: Catalogue) -> bool:
    """Whether ``catalogue`` has this variant too, and a request would be put to the model in the same words."""
    if task.name not in catalogue.names:
        return False
    other = catalogue.task(task.name)
    alike = (task.kind, task.inputs, task.labels) == (other.kind, other.inputs, other.labels)
    return alike and variant in other.variants
