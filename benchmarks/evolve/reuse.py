"""The same search with and without resident prefixes: each batch of prompts runs both ways, in turn."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from benchmarks.evolve.world import World
from edge_autoglm.evolve import EvolveSettings
from edge_autoglm.evolve.answers import Outcome
from edge_autoglm.evolve.metrics import metric
from edge_autoglm.evolve.optimizer import evolve_task
from edge_autoglm.evolve.scorer import Key, Question, Scorer
from edge_autoglm.evolve.splits import split
from edge_autoglm.evolve.store import ScoreStore
from edge_autoglm.prompts import Task, Variant
from edge_autoglm.prompts.rewrite import OPERATORS, Material, seeds
from edge_autoglm.runtime.model import LanguageModel

LONG = 4
"""Solved examples that a prompt has at least in `few_shot`."""


class BothWays(Scorer):
    """A scorer that has every batch scored by two others, of which one keeps no prefixes, and takes their times."""

    def __init__(self, model: LanguageModel, task: Task, budget: int) -> None:
        super().__init__(model, task, ScoreStore(None, "", task.name), budget)
        self._ways = {
            reuse: Scorer(_alone(model), task, ScoreStore(None, "", ""), reuse=reuse) for reuse in (True, False)
        }
        self.seconds: dict[bool, list[float]] = {True: [], False: []}
        self.prompts: list[int] = []
        self.tokens = self.cached = self.different = 0
        self.sequences: list[list[int]] = []

    def _ask(self, variant: Variant, questions: dict[Key, Question]) -> None:
        order = (True, False) if len(self.prompts) % 2 else (False, True)
        found: dict[bool, dict[Key, Outcome]] = {}
        for reuse in order:
            way = self._ways[reuse]
            before = time.perf_counter()
            way._ask(variant, dict(questions))
            self.seconds[reuse].append(time.perf_counter() - before)
            found[reuse] = {key: way._asked[key] for key in questions}
        self.prompts.append(len(questions))
        self.sequences += [self._model.encode_prompt(each.prompt, each.soft_prompt) for each in questions.values()]
        for key, outcome in found[True].items():
            self.different += outcome.logprobs != found[False][key].logprobs
            self.tokens += outcome.prompt_tokens
            self.cached += outcome.cached_tokens
        self._asked |= found[True]


def search(world: World, domain: str, settings: EvolveSettings) -> BothWays:
    """A whole search, whatever prompts it comes by."""
    splits = split(world.development(domain), settings.shares, settings.seed, world.task.labels)
    scorer = BothWays(world.model, world.task, settings.budget)
    evolve_task(world.model, world.task, scorer, splits, settings, metric(settings.metric, world.task.kind))
    return scorer


def few_shot(world: World, domain: str, prompts: int, examples: int) -> BothWays:
    """The part of a search where prefixes are long: prompts with four and more solved examples."""
    rng, material = random.Random(0), Material(world.task, world.development(domain, 800, 840))
    roots = seeds(world.task, material)
    scorer = BothWays(world.model, world.task, prompts * examples)
    drafts = [each for root in roots for each in OPERATORS["shots"].proposals(root, material, rng)]
    long = [each for each in drafts if each.form is not None and len(each.form.shots) >= LONG]
    for draft in rng.sample(long, prompts):
        scorer.outcomes(draft.variant, world.development(domain, end=examples))
    return scorer


def figures(scorer: BothWays) -> dict[str, Any]:
    """What the batches come to."""
    held, fresh = sum(scorer.seconds[True]), sum(scorer.seconds[False])
    return {
        "seconds_with_reuse": held,
        "seconds_without": fresh,
        "times_faster": fresh / held,
        "prompts": sum(scorer.prompts),
        "prompts_with_other_scores": scorer.different,
        "prompt_tokens": scorer.tokens,
        "of_them_held": scorer.cached,
        "tokens_of_a_tree": tree_size(scorer.sequences),
    }


def tree_size(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens to run where any beginning that two prompts share runs once, whatever the order and the memory.

    No reuse of prefixes can do with less: ``prompt_tokens`` over this is the most that it can save.
    """
    size, before = 0, list[int]()
    for tokens in sorted(map(list, sequences)):
        size += len(tokens) - sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, tokens, strict=False))
        )
        before = tokens
    return size


def _alone(model: LanguageModel) -> LanguageModel:
    """The same weights, with a KV store of its own."""
    engine = model.engine.fork(model.engine.facts.slots)
    return LanguageModel(engine, model.tokenizer, model.chat, tuple(model.eos_token_ids), model.add_bos_id)
