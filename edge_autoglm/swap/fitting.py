"""How much of what was retrieved for a request goes into its prompt: as much as a KV slot has room for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from edge_autoglm.prompts.render import label_texts
from edge_autoglm.prompts.retrieved import Retrieved, Shot
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.runtime.model import LanguageModel


def shield_retrieved(model: LanguageModel, task: Task, retrieved: Retrieved) -> Retrieved:
    """Texts from outside made harmless, as inputs are; labels are the task's own."""
    shield = model.tokenizer.shield

    def covered(shot: Shot) -> Shot:
        inputs = {name: shield(text) for name, text in shot.inputs.items()}
        return Shot(inputs, shot.answer if task.labels else shield(shot.answer))

    return Retrieved(tuple(map(covered, retrieved.shots)), tuple(map(shield, retrieved.passages)))


def fitted_prompt(
    model: LanguageModel, task: Task, variant: Variant, shown: Retrieved, render: Callable[[Retrieved], str]
) -> str:
    """The prompt with as much as fits beside its answer; the farthest examples and passages are left out first.

    Args:
        model: Whose slot it has to fit.
        task: What is asked for.
        variant: That asks.
        shown: What was retrieved, shielded.
        render: From what is shown to the prompt.
    """

    def fits(dropped: int) -> bool:
        prompt = render(shown.less(dropped))
        virtual = len(model.soft_prompt_tokens(variant.soft_prompt))
        needed = virtual + len(model.tokenizer.encode(prompt)) + _room(model, task, variant, prompt)
        return needed <= model.engine.facts.capacity

    if not len(shown) or fits(0):
        return render(shown)
    # Without any of it the prompt is what it is: whoever encodes it says that it is too long.
    return render(shown.less(bisect_left(range(len(shown)), True, lo=1, key=fits)))


def _room(model: LanguageModel, task: Task, variant: Variant, prompt: str) -> int:
    """Tokens of an answer, and one for a BOS; of a long one no more than half a slot."""
    if task.labels:
        return 1 + max(len(model.tokenizer.encode(text)) for text in label_texts(task, variant, prompt).values())
    return 1 + min(variant.sampling.max_new_tokens, model.engine.facts.capacity // 2)
