import pytest

from benchmarks.peers.experiments import CRITICAL, EXPERIMENTS, SHARED_PREFIX
from benchmarks.peers.lineup import choose
from benchmarks.peers.prompts import PromptSource
from edge_autoglm.export.texts import calibration_text
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.checkpoints import tiny_tokenizer_json


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(tiny_tokenizer_json())


def source_of(tokenizer: Tokenizer, characters: int = 60_000) -> PromptSource:
    return PromptSource(calibration_text().content[:characters], tokenizer.encode, tokenizer.decode)


def test_a_prompt_reads_as_just_the_tokens_it_says(tokenizer: Tokenizer) -> None:
    source = source_of(tokenizer)
    for _ in range(20):
        prompt = source.take(50)
        assert len(prompt.tokens) == 50
        assert tokenizer.encode(prompt.text) == prompt.tokens


def test_prompts_are_different_ones_and_the_same_in_every_run(tokenizer: Tokenizer) -> None:
    first, again = source_of(tokenizer), source_of(tokenizer)
    texts = [first.take(40).text for _ in range(50)]
    assert len(set(texts)) == 50
    assert [again.take(40).text for _ in range(50)] == texts


def test_a_shared_prefix_stays_whole_in_front_of_different_rests(tokenizer: Tokenizer) -> None:
    source = source_of(tokenizer)
    prefix = source.take(30).tokens
    prompts = [source.take(50, prefix) for _ in range(10)]
    assert all(prompt.tokens[:30] == prefix and tokenizer.encode(prompt.text) == prompt.tokens for prompt in prompts)
    assert len({prompt.text for prompt in prompts}) == 10


def test_a_text_that_is_used_up_says_so(tokenizer: Tokenizer) -> None:
    source = source_of(tokenizer, characters=60)
    with pytest.raises(ValueError, match="no other 40 tokens"):
        _ = [source.take(40) for _ in range(100)]


def test_experiments_ask_for_what_they_name(tokenizer: Tokenizer) -> None:
    source = source_of(tokenizer)
    alone, nothing, prefix = EXPERIMENTS["concurrent"].cases(source, 40)
    assert [len(case.prompts()) for case in (alone, nothing, prefix)] == [1, 16, 16]
    assert len({tuple(prompt.tokens[:SHARED_PREFIX]) for prompt in nothing.prompts()}) == 16
    shared = {tuple(prompt.tokens[:SHARED_PREFIX]) for _ in range(2) for prompt in prefix.prompts()}
    assert len(shared) == 1
    longer = [case.prompts() for case in EXPERIMENTS["lengths"].cases(source, 8)]
    assert [len(prompt.tokens) for [prompt] in longer] == [128, 256, 512, 1024, 2048, 4096]
    assert [len(case.prompts()) for case in EXPERIMENTS["rows"].cases(source, 8)] == [1, 2, 4, 8, 16]


def test_critical_requests_come_into_the_middle_of_the_load(tokenizer: Tokenizer) -> None:
    idle, loaded = EXPERIMENTS["critical"].cases(source_of(tokenizer), 40)
    assert [prompt.priority for prompt in idle.prompts()] == [CRITICAL] * idle.rows
    prompts = loaded.prompts()
    assert len(prompts) == loaded.rows
    assert [prompt.delay for prompt in prompts if prompt.priority is None] == [0.0] * 16
    assert all(prompt.delay > 0 for prompt in prompts if prompt.priority == CRITICAL)


def test_default_names_are_in_the_line_up() -> None:
    for experiment in EXPERIMENTS.values():
        assert {entry.name for entry in choose(experiment.names)} == set(experiment.names)
    with pytest.raises(ValueError, match=r"^somebody; known are edge w8a8"):
        choose(["somebody"])
