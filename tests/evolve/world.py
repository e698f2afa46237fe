"""A task and a scripted model that is right behind some prompts only, so that a test knows which variant must win."""

from __future__ import annotations

from collections.abc import Sequence

from edge_autoglm.evolve.scorer import Scorer
from edge_autoglm.evolve.store import ScoreStore
from edge_autoglm.prompts import Task, Variant
from edge_autoglm.prompts.rewrite import Labelled
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel
from tests.checkpoints import VOCAB_SIZE
from tests.swap.world import PROBES, make_model, script

RIGHT_ENDING = "\nEmotion:"
"""Behind a prompt that ends so, the model knows the label; behind others it guesses."""

ASK = Variant("ask", prompt="Text: {{ text }}\nMood?")
"""Hand-written, and no good."""


def mood_task(*variants: Variant) -> Task:
    plain = Variant("plain", prompt="{{ text }}")
    variants = (plain, ASK, *variants)
    about = "Is a day good or bad?"
    return Task("mood", about, "classify", ("text",), ("good", "bad"), variants, PROBES, "mood.yaml", (None, None))


def mood_examples(count: int) -> list[Labelled]:
    """Every other one is good."""
    return [Labelled({"text": f"It was day {number}."}, ("good", "bad")[number % 2]) for number in range(count)]


def knowing_engine(examples: Sequence[Labelled], slots: int = 4) -> Engine:
    """Right on these examples behind a prompt that ends with ``RIGHT_ENDING``."""
    answers = {f"{each.inputs['text']}{RIGHT_ENDING}": f" {each.expect}" for each in examples}
    return ScriptedEngine(VOCAB_SIZE, slots=slots, capacity=2048, script=script(answers))


def knowing_model(examples: Sequence[Labelled]) -> LanguageModel:
    return make_model(knowing_engine(examples))


def scorer_over(model: LanguageModel, task: Task, store: ScoreStore, budget: int | None = None) -> Scorer:
    return Scorer(model, task, store, budget)


def in_memory(task: Task) -> ScoreStore:
    return ScoreStore(None, "", task.name, task.labels)
