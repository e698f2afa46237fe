"""How a request is put to a model: the same for an app's requests and for the probes of a health check."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

from edge_autoglm.prompts.render import label_texts, render
from edge_autoglm.prompts.retrieved import NOTHING, Retrieved
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.requests.score import Scores
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.swap.fitting import fitted_prompt, shield_retrieved


def render_request(
    model: LanguageModel, task: Task, variant: Variant, inputs: Mapping[str, str], retrieved: Retrieved = NOTHING
) -> str:
    """The prompt. Texts from outside are shielded: a chat marker in them is text, never a special token.

    Of what was retrieved for the request, as much is shown as a slot has room for.
    """
    shielded = {name: model.tokenizer.shield(text) for name, text in inputs.items()}
    chat = None if model.chat is None else model.chat.render
    shown = shield_retrieved(model, task, retrieved)
    return fitted_prompt(model, task, variant, shown, lambda some: render(task, variant, shielded, chat, some))


def score_request(
    model: LanguageModel, task: Task, variant: Variant, prompt: str, urgency: Urgency | None = None
) -> Future[Scores]:
    """Log-probability of every label of a classification task behind its prompt, in the task's order."""
    texts = label_texts(task, variant, prompt)
    labels = [model.label_tokens(prompt, texts[label]) for label in task.labels]
    return model.submit_score(model.encode_prompt(prompt, variant.soft_prompt), labels, urgency)
