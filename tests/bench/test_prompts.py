"""Prompts of exactly the length asked for, every one different."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import tokenizers

from edge_autoglm import Bundle, Runtime, RuntimeConfig
from edge_autoglm.bench.prompts import bench_prompts, exact_cut
from edge_autoglm.errors import RequestError


def token_counts(bundle: Bundle, prompts: list[str]) -> set[int]:
    tokenizer = tokenizers.Tokenizer.from_file(str(bundle.tokenizer_path))
    return {len(tokenizer.encode(prompt, add_special_tokens=False)) for prompt in prompts}


@pytest.mark.parametrize("tokens", [1, 2, 37, 400])
def test_prompts_have_exactly_the_tokens_asked_for(bundle: Bundle, tokens: int) -> None:
    assert token_counts(bundle, bench_prompts(bundle, tokens, 12, seed=0)) == {tokens}


def test_a_prompt_longer_than_the_shipped_text(bundle: Bundle) -> None:
    [whole] = token_counts(bundle, bench_prompts(bundle, 60_000, 1, seed=0))
    assert whole == 60_000


def test_the_runtime_counts_the_same(bundle: Bundle) -> None:
    with Runtime.open(bundle, threads=1, config=RuntimeConfig(tasks=(), slots=1)) as runtime:
        for prompt in bench_prompts(bundle, 50, 3, seed=1):
            assert runtime.generate(prompt, max_new_tokens=1).usage.prompt_tokens == 50


def test_a_bos_token_is_one_of_them(bundle: Bundle) -> None:
    manifest = bundle.manifest
    with_bos = replace(bundle, manifest=replace(manifest, model=replace(manifest.model, add_bos=True)))
    assert token_counts(bundle, bench_prompts(with_bos, 50, 3, seed=1)) == {49}


def test_prompts_share_no_more_than_a_few_first_words(bundle: Bundle) -> None:
    prompts = bench_prompts(bundle, 300, 60, seed=0)
    assert len({prompt[:30] for prompt in prompts}) == 60


def test_the_seed_alone_chooses_them(bundle: Bundle) -> None:
    first = bench_prompts(bundle, 40, 5, seed=3)
    assert bench_prompts(bundle, 40, 5, seed=3) == first
    assert bench_prompts(bundle, 40, 8, seed=3)[:5] == first
    assert not set(bench_prompts(bundle, 40, 5, seed=4)) & set(first)


def test_more_prompts_than_the_text_has_words_are_refused(bundle: Bundle) -> None:
    with pytest.raises(RequestError, match="20000 are needed"):
        bench_prompts(bundle, 1, 20_000, seed=0)


def word_ends(text: str) -> list[int]:
    return [word.end() for word in re.finditer(r"\w+", text)]


def test_the_cut_is_behind_the_last_token() -> None:
    text = "one two three four five six seven eight " * 9
    assert exact_cut(lambda size: text[:size], 3, word_ends) == "one two three"


def test_the_cut_moves_on_where_the_shorter_text_has_other_tokens() -> None:
    text = "one two three four five six seven eight " * 9

    def ends(part: str) -> list[int]:
        """A tokenizer that makes two tokens of a text's last word, if that is "three"."""
        return [*word_ends(part)[:-1], len(part) - 1, len(part)] if part.endswith("three") else word_ends(part)

    assert exact_cut(lambda size: text[:size], 4, ends) == "one two three four"
    assert exact_cut(lambda size: text[:size], 3, ends) is None
