"""Does the candidate still get right what the active generation gets right?"""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.prompts.calibration import calibrated
from edge_autoglm.prompts.catalogue import Catalogue
from edge_autoglm.prompts.task import PLAIN, GoldenQuestion, Task, Variant
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.urgency import UNHURRIED
from edge_autoglm.swap.asking import render_request, score_request
from edge_autoglm.swap.carried import same_model, same_variant
from edge_autoglm.swap.generation import Generation
from edge_autoglm.values import SamplingParams


@dataclass(frozen=True, slots=True)
class GoldenScore:
    """Right answers to the golden questions of one task.

    Attributes:
        task: Its name.
        asked: Questions, each counted once a variant; those whose answers cannot have changed are not asked.
        right: That the candidate answered well.
        right_now: That the active generation answers well.
    """

    task: str
    asked: int
    right: int
    right_now: int

    @property
    def drop(self) -> float:
        """What the share of right answers would lose."""
        return (self.right_now - self.right) / self.asked


def ask_golden(
    candidate: Generation, active: Generation, reference: LanguageModel, max_questions: int, new_tokens: int
) -> list[GoldenScore]:
    """Put the golden questions to both generations.

    A variant is held against the active generation's of the same name, a new one against its ``plain`` one, and in a
    new task against what the active model makes of it.

    Args:
        candidate: Not live yet.
        active: What answers now; its own questions are asked as well, so that none is lost by leaving it out.
        reference: Fork of the active generation's model.
        max_questions: Of a task.
        new_tokens: Tokens to decode for a question of a text task.
    """
    known = same_model(candidate.model, active.model)
    scores = []
    for task in candidate.catalogue.tasks:
        questions = _questions(task, active.catalogue)[:max_questions]
        asked = right = right_now = 0
        for variant in task.variants:
            if known and same_variant(task, variant, active.catalogue):
                continue
            old_task, old_variant = _counterpart(task, variant, active.catalogue)
            asked += len(questions)
            right += sum(is_right(candidate.model, task, variant, each, new_tokens) for each in questions)
            right_now += sum(is_right(reference, old_task, old_variant, each, new_tokens) for each in questions)
        if asked:
            scores.append(GoldenScore(task.name, asked, right, right_now))
    return scores


def is_right(model: LanguageModel, task: Task, variant: Variant, question: GoldenQuestion, new_tokens: int) -> bool:
    """Whether the most probable answer is a right one; a request that fails is not."""
    try:
        prompt = render_request(model, task, variant, question.inputs)
        if task.kind == "classify":
            scores = score_request(model, task, variant, prompt, UNHURRIED).result()
            return task.labels[int(calibrated(task, variant, scores.logprobs).argmax())] in question.expect
        limit = min(new_tokens, variant.sampling.max_new_tokens)
        greedy = SamplingParams(max_new_tokens=limit, stop=variant.sampling.stop)
        text = model.stream(model.encode_prompt(prompt, variant.soft_prompt), greedy, UNHURRIED).read().casefold()
        return any(expected.casefold() in text for expected in question.expect)
    except Exception:  # whatever a request would fail with; the probes name it
        return False


def _questions(task: Task, active: Catalogue) -> list[GoldenQuestion]:
    before = active.task(task.name).golden if task.name in active.names else ()
    return [*task.golden, *(each for each in before if each not in task.golden and _suits(each, task))]


def _suits(question: GoldenQuestion, task: Task) -> bool:
    askable = set(question.inputs) == set(task.inputs)
    return askable and (task.kind != "classify" or not set(question.expect).isdisjoint(task.labels))


def _counterpart(task: Task, variant: Variant, active: Catalogue) -> tuple[Task, Variant]:
    if task.name not in active.names:
        return task, variant
    old = active.task(task.name)
    if (old.kind, set(old.inputs)) != (task.kind, set(task.inputs)):
        return task, variant
    names = [each.name for each in old.variants]
    return old, old.variant(variant.name if variant.name in names else PLAIN)
