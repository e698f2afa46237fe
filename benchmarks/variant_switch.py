"""Time to first token when the prompt variant changes from request to request, against one that stays, and cold.

    python -m benchmarks.variant_switch BUNDLE [--rounds 40]

Eight resident variants of 512 tokens, and single ones of 32 to 200, with 40 tokens of request behind each. All kinds of
request run in turn in one process, so that load of the machine hits all of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from rich.progress import track

from benchmarks import record
from edge_autoglm import Bundle, RuntimeConfig, SamplingParams
from edge_autoglm.demo.snippets import load_snippets
from edge_autoglm.device.threads import default_threads
from edge_autoglm.facade.loading import load_model
from edge_autoglm.runtime.model import LanguageModel

VARIANTS, VARIANT_TOKENS, REST_TOKENS = 8, 512, 40
SHORT = (32, 64, 96, 128, 200)
WARM_UP = 2
FIRST_TOKEN = SamplingParams(max_new_tokens=1)

Samples = dict[str, list[float]]


class Texts:
    """Token sequences that do not repeat."""

    def __init__(self, model: LanguageModel) -> None:
        text = " ".join(snippet.text for snippet in load_snippets(800, seed=3))
        self._tokens = model.tokenizer.encode(text)
        self._model = model
        self._used = 0

    def take(self, count: int) -> list[int]:
        """The next tokens; those at the end of the text are followed by those at its beginning."""
        begin = self._used % (len(self._tokens) - count)
        self._used = begin + count
        return self._tokens[begin : begin + count]

    def resident(self, count: int) -> list[int]:
        """A prefix of about as many tokens, resident in the model."""
        tokens, _ = self._model.make_resident(self._model.tokenizer.decode(self.take(count)))
        return list(tokens)


def first_token(model: LanguageModel, tokens: Sequence[int], expected: int) -> float:
    """Seconds to the first token.

    Raises:
        RuntimeError: Another number of tokens than expected was held.
    """
    stream = model.stream(tokens, FIRST_TOKEN)
    stream.read()
    if stream.usage.num_cached_tokens != expected:
        raise RuntimeError(f"{stream.usage.num_cached_tokens} tokens were held, not {expected}")
    return stream.timings.ttft


def measure(bundle: Bundle, rounds: int) -> Samples:
    """Seconds to the first token, by kind of request."""
    config = RuntimeConfig(slots=1, context_length=640, kv_cache_bytes=1 << 30, speculate=False)
    model = load_model(bundle, default_threads(), config)
    cold = LanguageModel(model.engine.fork(1), model.tokenizer, None, (), None, limits=model.limits)
    texts = Texts(model)
    variants = [texts.resident(VARIANT_TOKENS) for _ in range(VARIANTS)]
    short = {count: texts.resident(count) for count in SHORT}
    samples: Samples = {}
    for number in track(range(rounds + WARM_UP), transient=True):
        current, other = variants[number % VARIANTS], variants[(number + 1) % VARIANTS]
        requests = [("before", model, current), ("same variant", model, current), ("other variant", model, other)]
        requests += [(f"{VARIANT_TOKENS} cold", cold, current)]
        for count, prefix in short.items():
            requests += [(f"{count} resident", model, prefix), (f"{count} cold", cold, prefix)]
        for name, one, prefix in requests:
            held = 0 if one is cold else len(prefix)
            seconds = first_token(one, [*prefix, *texts.take(REST_TOKENS)], held)
            if number >= WARM_UP and name != "before":
                samples.setdefault(name, []).append(seconds)
    return samples


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", default=40, show_default=True)
def main(bundle: Path, rounds: int) -> None:
    """Measure and write the record."""
    opened = Bundle.open(bundle)
    samples = measure(opened, rounds)
    p95 = {name: float(np.percentile(values, 95)) for name, values in samples.items()}
    medians = {name: statistics.median(values) for name, values in samples.items()}
    figures = {
        "p95": p95,
        "p95 of other variant / same variant": p95["other variant"] / p95["same variant"],
        "median of cold / other variant": medians[f"{VARIANT_TOKENS} cold"] / medians["other variant"],
        "median of resident / cold": {
            count: medians[f"{count} resident"] / medians[f"{count} cold"] for count in SHORT
        },
    }
    entry = opened.manifest.engines[0]
    config = {
        "precision": entry.precision,
        "kv": entry.kv_type,
        "variants": VARIANTS,
        "variant_tokens": VARIANT_TOKENS,
        "rest_tokens": REST_TOKENS,
        "rounds": rounds,
    }
    record.write(f"variant_switch_{entry.precision}", config, samples, figures)
    for name, value in figures.items():
        print(name, value)


if __name__ == "__main__":
    main()
