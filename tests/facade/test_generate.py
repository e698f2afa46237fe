"""`Runtime.generate` as users know it: forms of answers, log-probabilities, samples, settings, conversations."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from edge_autoglm import Bundle, Runtime
from edge_autoglm.constraints import Choice, Constraint, JsonSchema, Regex
from edge_autoglm.errors import PromptTooLong, RequestError
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.values import Message, SamplingParams
from tests.checkpoints import VOCAB_SIZE
from tests.facade.scripted import busy, open_scripted, wait_for_idle
from tests.runtime.engines_for_tests import CountingEngine
from tests.swap.world import TOKENIZER, script

OPTIONS = ("very good", "very bad", "of no interest")
FILM = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["good", "bad"]},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2},
    },
    "required": ["mood", "stars", "tags"],
    "additionalProperties": False,
}


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with open_scripted(CountingEngine(VOCAB_SIZE, script=script({"Answer:": " good and great"}))) as opened:
        yield opened


def samples_of(runtime: Runtime, constraint: Constraint) -> list[str]:
    """Answers of which the model itself would say none: its tokens are as good as random."""
    texts = []
    for seed in range(8):
        answer = runtime.generate(
            f"Film {seed}:", max_new_tokens=200, temperature=9.0, seed=seed, constraint=constraint
        )
        assert answer.finish_reason == "eos"
        texts.append(answer.text)
    return texts


def test_a_choice_is_one_of_its_options(runtime: Runtime) -> None:
    texts = samples_of(runtime, Choice(OPTIONS))
    assert set(texts) <= set(OPTIONS)
    assert len(set(texts)) > 1, "the model has the choice"


def test_an_answer_matches_its_regular_expression(runtime: Runtime) -> None:
    pattern = r"[1-5] stars?: (good|bad)( film){1,3}\."
    texts = samples_of(runtime, Regex(pattern))
    assert all(re.fullmatch(pattern, text) for text in texts)
    assert len(set(texts)) > 3


def test_an_answer_is_json_of_its_schema(runtime: Runtime) -> None:
    for text in samples_of(runtime, JsonSchema(FILM)):
        film = json.loads(text)
        assert list(film) == ["mood", "stars", "tags"]
        assert film["mood"] in ("good", "bad")
        assert film["stars"] in range(1, 6)
        assert len(film["tags"]) <= 2
        assert all(isinstance(tag, str) and len(tag) <= 3 for tag in film["tags"])


def test_forced_text_needs_no_forward_pass_of_its_own(runtime: Runtime) -> None:
    constraint = Regex("the one and only answer that there is: (yes|no)")
    passes = len_of_passes(runtime)
    plain = runtime.generate("Film:", constraint=constraint)
    assert len_of_passes(runtime) - passes < plain.usage.new_tokens / 4
    spelt = runtime.generate("Film:", constraint=constraint, logprobs=0)
    assert (spelt.text, spelt.usage.new_tokens) == (plain.text, plain.usage.new_tokens)
    assert len(spelt.logprobs) == spelt.usage.new_tokens


def len_of_passes(runtime: Runtime) -> int:
    engine = runtime._buffer.active.model.engine
    assert isinstance(engine, CountingEngine)
    return engine.passes


@pytest.mark.parametrize(
    "constraint", [JsonSchema(FILM), Regex("(go+d|bad)( (film|text) is (go+d|bad)){12}"), Choice(OPTIONS)], ids=str
)
def test_drafts_change_no_answer_that_has_a_form(constraint: Constraint) -> None:
    runs, accepted = [], 0
    for speculate in (False, True):
        with open_scripted(ScriptedEngine(VOCAB_SIZE), speculate=speculate) as runtime:
            for temperature in (0.0, 9.0):
                answer = runtime.generate("Film:", temperature=temperature, seed=2, constraint=constraint)
                runs.append((answer.text, answer.finish_reason, answer.usage.new_tokens))
                accepted += answer.usage.accepted_tokens
    assert runs[:2] == runs[2:]
    assert accepted > 0 or not isinstance(constraint, Regex)


def test_a_form_that_is_cut_short_says_so(runtime: Runtime) -> None:
    answer = runtime.generate("Film:", max_new_tokens=3, constraint=JsonSchema(FILM))
    assert answer.finish_reason == "length"
    assert json.dumps(FILM)[:1] == answer.text[:1] == "{"


def test_a_stream_and_a_stop_text_take_constraints_too(runtime: Runtime) -> None:
    constraint = Regex(r"a good film\. a bad film\.")
    stream = runtime.generate_stream("Film:", SamplingParams(constraint=constraint))
    assert "".join(stream) == stream.completion.text == "a good film. a bad film."
    stopped = runtime.generate("Film:", constraint=constraint, stop=["bad"])
    assert (stopped.text, stopped.finish_reason) == ("a good film. a ", "stop")


@pytest.mark.parametrize(
    "constraint", [Regex("(unclosed"), JsonSchema({"type": "nonsense"}), JsonSchema({"not": {}})], ids=str
)
def test_a_form_that_nothing_can_have_is_refused_and_harms_nobody(runtime: Runtime, constraint: Constraint) -> None:
    with pytest.raises(RequestError, match="form of the answer"):
        runtime.generate("Film:", constraint=constraint)
    assert busy(runtime) == (0, 0, 0)
    assert runtime.generate("Answer:").text == " good and great"


def test_log_probabilities_are_those_of_the_model(runtime: Runtime) -> None:
    answer = runtime.generate("this film", max_new_tokens=6, temperature=1.0, seed=3, logprobs=2)
    assert len(answer.logprobs) == answer.usage.new_tokens == 6
    tokens = TOKENIZER.encode("this film")
    for one in answer.logprobs:
        scored = runtime._buffer.active.model.score(tokens, [[one.token], *([token] for token, _ in one.top)])
        assert [one.logprob, *(logprob for _, logprob in one.top)] == pytest.approx(scored.logprobs, abs=1e-6)
        assert one.top[0][1] >= one.top[1][1]
        tokens.append(one.token)
    assert runtime.generate("this film", max_new_tokens=6).logprobs == ()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_tokens": 5}, "no setting 'max_tokens'"),
        ({"temprature": 0.5, "top_q": 1}, "no setting 't"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"top_p": 0.0}, "top_p is 0"),
        ({"stop": "word"}, "stop is 'word'"),
        ({"stop": [""]}, "stop text is empty"),
        ({"seed": -1}, "seed is -1"),
        ({"constraint": "yes|no"}, "constraint is 'yes|no'"),
    ],
)
def test_settings_that_are_unknown_or_out_of_range_are_named(
    runtime: Runtime, settings: dict[str, Any], named: str
) -> None:
    for ask in (runtime.generate, runtime.submit_generate, lambda prompt, **given: runtime.sample(prompt, 2, **given)):
        with pytest.raises(RequestError, match=re.escape(named)):
            ask("Film:", **settings)
    assert runtime.generate("Answer:").text == " good and great"


def test_samples_are_ranked_and_their_majority_found(runtime: Runtime) -> None:
    votes = runtime.sample(
        "Is it good?", 15, lambda text: text or None, temperature=9.0, seed=5, constraint=Choice(OPTIONS)
    )
    assert votes.consensus is not None
    texts = [completion.text for completion in votes.completions]
    assert set(texts) == set(OPTIONS)
    counts = {text: texts.count(text) for text in texts}
    assert votes.consensus.votes == max(counts.values()) == counts[votes.best.text]
    assert votes.consensus.answer == votes.best.text
    assert {share.answer: share.votes for share in votes.consensus.spread} == counts
    assert votes.consensus.agreement == votes.consensus.votes / 15
    means = [mean([one.logprob for one in completion.logprobs]) for completion in votes.completions]
    assert means == sorted(means, reverse=True)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_samples_are_repeatable_by_seed_and_the_first_is_what_generate_gives(runtime: Runtime) -> None:
    settings: dict[str, Any] = {"max_new_tokens": 8, "temperature": 1.0}
    first, second, other = (runtime.sample("the movie", 6, seed=seed, **settings) for seed in (3, 3, 4))
    assert [one.text for one in first.completions] == [one.text for one in second.completions]
    assert len({one.text for one in first.completions}) == 6
    assert not {one.text for one in first.completions} & {one.text for one in other.completions}
    [single] = runtime.sample("the movie", 1, seed=3, **settings).completions
    assert single.text == runtime.generate("the movie", seed=3, **settings).text
    assert single.text in {one.text for one in first.completions}


def test_samples_compute_their_prompt_once(runtime: Runtime) -> None:
    prompt = "the movie of this user and the text of the answer"
    length = len(TOKENIZER.encode(prompt))
    samples = runtime.sample(prompt, 5, temperature=1.0, max_new_tokens=2, seed=1)
    assert [one.usage.num_cached_tokens for one in samples.completions] == [length - 2] * 5


def test_samples_that_do_not_parse_have_no_vote(runtime: Runtime) -> None:
    settings: dict[str, Any] = {"temperature": 9.0, "seed": 5, "constraint": Choice(("7", "no number"))}
    votes = runtime.sample("How many?", 12, int, **settings)
    assert votes.consensus is not None
    assert votes.consensus.answer == 7
    assert votes.best.text == "7"
    assert votes.consensus.unparsed == sum(one.text != "7" for one in votes.completions) > 0
    none = runtime.sample("How many?", 3, lambda text: None, **settings)
    assert none.consensus is not None
    assert (none.consensus.answer, none.consensus.votes) == (None, 0)
    assert none.best == none.completions[0]


def test_an_answer_that_is_no_number_can_win(runtime: Runtime) -> None:
    votes = runtime.sample("How many?", 3, lambda text: math.nan, temperature=1.0, seed=1, max_new_tokens=3)
    assert votes.best in votes.completions


def test_without_a_parser_the_most_probable_sample_is_the_best(runtime: Runtime) -> None:
    samples = runtime.sample("the movie", 4, temperature=1.0, seed=3, max_new_tokens=5)
    assert samples.consensus is None
    assert samples.best == samples.completions[0]


@pytest.mark.parametrize(
    ("samples", "settings", "named"),
    [(0, {}, "samples is 0"), (2, {}, "greedy"), (2, {"temperature": 0.0, "seed": 1}, "greedy")],
)
def test_samples_that_make_no_sense_are_refused(
    runtime: Runtime, samples: int, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(RequestError, match=named):
        runtime.sample("the movie", samples, **settings)
    assert runtime.sample("Answer:", 1).best.text == " good and great"


def test_a_parser_that_fails_gives_everything_back(runtime: Runtime) -> None:
    with pytest.raises(ZeroDivisionError):
        runtime.sample("the movie", 3, lambda text: 1 // 0, temperature=1.0, max_new_tokens=2)
    wait_for_idle(runtime)


def talk(runtime: Runtime, turns: int, fresh: Any = None) -> list[tuple[str, int]]:
    """A conversation: each answer, and how many prompt tokens of its turn did not run."""
    messages: list[Message] = [{"role": "system", "content": "You know the movies."}]
    answers = []
    for number in range(turns):
        messages.append({"role": "user", "content": f"And film {number}, is it good?"})
        completion = (fresh() if fresh else runtime).generate(messages, max_new_tokens=10)
        answers.append((completion.text, completion.usage.num_cached_tokens))
        messages.append({"role": "assistant", "content": completion.text})
    return answers


@pytest.mark.parametrize("kind", ["scripted", "onnx"])
def test_a_conversation_goes_on_from_its_last_turn(kind: str, bundle: Bundle) -> None:
    opened: list[Runtime] = []

    def fresh() -> Runtime:
        if kind == "scripted":
            opened.append(open_scripted(ScriptedEngine(VOCAB_SIZE)))
        else:
            opened.append(Runtime.open(bundle, threads=1, config=RuntimeConfig(seed=1, context_length=512, tasks=())))
        return opened[-1]

    kept = talk(fresh(), 4)
    from_scratch = talk(opened[0], 4, fresh)
    assert [text for text, _ in kept] == [text for text, _ in from_scratch]
    cached = [tokens for _, tokens in kept]
    assert cached[0] < 5, "of other prompts that begin with the same marker"
    assert all(later > earlier + 20 for earlier, later in pairwise(cached))
    assert [tokens for _, tokens in from_scratch] == [cached[0]] * 4
    for runtime in opened:
        runtime.close()


def test_conversations_beyond_the_kv_budget_cost_time_and_nothing_else() -> None:
    with (
        open_scripted(ScriptedEngine(VOCAB_SIZE)) as roomy,
        open_scripted(ScriptedEngine(VOCAB_SIZE), kv_cache_bytes=600) as tight,
    ):
        assert [text for text, _ in talk(roomy, 3)] == [text for text, _ in talk(tight, 3)]
        assert tight.stats.kv.nbytes <= 600
        assert tight.stats.kv.tokens_skipped < roomy.stats.kv.tokens_skipped


def test_a_prompt_that_fills_the_slot_is_refused_whoever_asks(runtime: Runtime) -> None:
    for ask in (
        lambda: runtime.generate("z" * 512),
        lambda: runtime.sample("z" * 512, 2, temperature=1.0),
        lambda: runtime.score("z" * 512, ["good"]),
        lambda: runtime.generate_stream([{"role": "user", "content": "z" * 512}]),
    ):
        with pytest.raises(PromptTooLong, match="512"):
            ask()
    with pytest.raises(RequestError, match="empty"):
        runtime.generate("")
