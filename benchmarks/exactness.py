"""Whether greedy tokens stay the same however a prompt reaches its slot and whatever runs beside it.

    python -m benchmarks.exactness NAME=BUNDLE ... [--prompts 300] [--new-tokens 24]

Each prompt is answered in six ways, and every answer compared with the plain one:

- plain: alone, whole, nothing held, no speculation
- cached: behind the resident prefix of its template, and again behind its own KV
- chunked: 17 tokens a step
- batched: 16 requests at a time
- speculated: drafts by prompt look-up, verified in chunks (where the engine allows it; the record says so)
- restored: behind prefixes from a KV pack on disk
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.progress import track

from benchmarks import record
from edge_autoglm import Bundle, RuntimeConfig, SamplingParams
from edge_autoglm.demo.snippets import load_snippets
from edge_autoglm.facade.kv_pack import PrefixPack
from edge_autoglm.facade.loading import load_model
from edge_autoglm.runtime.model import LanguageModel

SLOTS = 16
THREADS = 2
CHUNK = 17

_TEMPLATES = (
    ("Review: ", "\nSentiment:"),
    ("<|im_start|>user\nSay in one sentence what this is about: ", "<|im_end|>\n<|im_start|>assistant\n"),
    ("Copy the text.\nText: a short example\nCopy: a short example\nText: ", "\nCopy:"),
)


@dataclass(frozen=True, slots=True)
class Answers:
    """One way of answering all prompts.

    Attributes:
        texts: In the order of the prompts.
        note: What shows that the way was really taken.
    """

    texts: list[str]
    note: str


def prompts(count: int) -> list[str]:
    """Real texts in three templates, in turn."""
    snippets = load_snippets(count, seed=17)
    return [
        begin + snippet.text + end
        for snippet, (begin, end) in zip(snippets, _TEMPLATES * (count // len(_TEMPLATES) + 1), strict=False)
    ]


def answer_all(
    model: LanguageModel, texts: Sequence[str], new_tokens: int, at_once: int, keep: bool = False
) -> Answers:
    """Answer all prompts, a number of them at a time."""
    params = SamplingParams(max_new_tokens=new_tokens)
    answers, cached, accepted = [], 0, 0
    for begin in track(range(0, len(texts), at_once), transient=True):
        part = texts[begin : begin + at_once]
        streams = [model.stream(model.encode_prompt(text), params, keep=keep) for text in part]
        for stream in streams:
            answers.append(stream.read())
            cached += stream.usage.num_cached_tokens
            accepted += stream.usage.accepted_tokens
    return Answers(answers, f"{cached} tokens cached, {accepted} drafts accepted")


def ways(
    bundle: Bundle, texts: Sequence[str], new_tokens: int, state: Path
) -> Iterator[tuple[str, Callable[[], Answers]]]:
    """Each way by name; the first one is plain."""
    config = RuntimeConfig(slots=SLOTS, context_length=512, speculate=False, kv_cache_bytes=1 << 30)
    base = load_model(bundle, THREADS, config)
    statics = [begin for begin, _ in _TEMPLATES]

    @contextmanager
    def model(**changes: object) -> Iterator[LanguageModel]:
        one = _like(base, **changes)
        try:
            yield one
        finally:
            one.close()

    def plain() -> Answers:
        with model() as one:
            return answer_all(one, texts, new_tokens, 1)

    def cached() -> Answers:
        with model() as one:
            _make_resident(one, statics)
            answer_all(one, texts, 1, 1, keep=True)
            return answer_all(one, texts, new_tokens, 1)

    def chunked() -> Answers:
        with model(prefill_chunk=CHUNK) as one:
            return answer_all(one, texts, new_tokens, 1)

    def batched() -> Answers:
        with model() as one:
            return answer_all(one, texts, new_tokens, SLOTS)

    def speculated() -> Answers:
        with model(speculate=True) as one:
            answers = answer_all(one, texts, new_tokens, 1)
        return answers if base.engine.facts.exact_decode else replace(answers, note="off: see EngineFacts.exact_decode")

    def restored() -> Answers:
        with model() as one:
            _make_resident(one, statics)
            pack = PrefixPack(state, THREADS)
            pack.save_soon(one)
            pack.wait()
        with model() as one:
            PrefixPack(state, THREADS).restore(one)
            return answer_all(one, texts, new_tokens, 1)

    yield from (("plain", plain), ("cached", cached), ("chunked", chunked), ("batched", batched))
    yield from (("speculated", speculated), ("restored", restored))
    base.close()


def _like(base: LanguageModel, **changes: object) -> LanguageModel:
    """A model over the same weights that holds nothing yet."""
    limits = replace(base.limits, **changes)  # type: ignore[arg-type]
    return LanguageModel(base.engine.fork(SLOTS), base.tokenizer, base.chat, (), base.add_bos_id, limits=limits)


def _make_resident(model: LanguageModel, statics: Sequence[str]) -> None:
    for text in statics:
        model.make_resident(text)


@click.command()
@click.argument("bundles", nargs=-1, required=True, metavar="NAME=BUNDLE...")
@click.option("--prompts", "count", default=300, show_default=True)
@click.option("--new-tokens", default=24, show_default=True)
def main(bundles: tuple[str, ...], count: int, new_tokens: int) -> None:
    texts = prompts(count)
    figures: dict[str, dict[str, object]] = {}
    for name, _, path in (bundle.partition("=") for bundle in bundles):
        figures[name] = {}
        with TemporaryDirectory() as state:
            reference: list[str] | None = None
            for way, run in ways(Bundle.open(Path(path)), texts, new_tokens, Path(state)):
                answers = run()
                reference = answers.texts if reference is None else reference
                differ = sum(left != right for left, right in zip(reference, answers.texts, strict=True))
                figures[name][way] = {"prompts": count, "different": differ, "note": answers.note}
                click.echo(f"{name:20} {way:12} {differ} of {count} differ ({answers.note})")
        record.write("exactness", {"prompts": count, "new_tokens": new_tokens, "slots": SLOTS}, {}, figures)


if __name__ == "__main__":
    main()
