"""Time to first token with a resident 200-token prefix and a 40-token rest, against the same prompt cold.

    python -m benchmarks.resident_prefix [--rounds 40] [--precision int8]

Both sides run in turn in one process, over the same tokens, so that load of the machine hits both.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks import record
from edge_autoglm import Bundle, RuntimeConfig, SamplingParams, export_model
from edge_autoglm.demo.model import fetch_model
from edge_autoglm.demo.snippets import load_snippets
from edge_autoglm.device.threads import default_threads
from edge_autoglm.facade.loading import load_model
from edge_autoglm.runtime.model import LanguageModel

PREFIX_TOKENS, REST_TOKENS = 200, 40
FIRST_TOKEN = SamplingParams(max_new_tokens=1)


def _first_token(model: LanguageModel, tokens: list[int]) -> tuple[float, int]:
    stream = model.stream(tokens, FIRST_TOKEN)
    stream.read()
    return stream.timings.ttft, stream.usage.num_cached_tokens


def measure(bundle: Bundle, rounds: int) -> dict[str, list[float]]:
    """Seconds to the first token, ``cold`` and ``resident``."""
    cold = load_model(bundle, default_threads(), RuntimeConfig(slots=1, context_length=512))
    resident = cold.fork(1)
    text = " ".join(snippet.text for snippet in load_snippets(800, seed=3))
    tokens = cold.tokenizer.encode(text)
    prefix_text = cold.tokenizer.decode(tokens[: PREFIX_TOKENS + 1])
    resident.make_resident(prefix_text)
    prefix = resident.tokenizer.stable_tokens(prefix_text)
    samples: dict[str, list[float]] = {"cold": [], "resident": []}
    for number in range(rounds + 2):
        start = PREFIX_TOKENS + REST_TOKENS * number
        prompt = prefix + tokens[start : start + REST_TOKENS]
        for name, model in (("cold", cold), ("resident", resident)):
            seconds, cached = _first_token(model, prompt)
            if cached != (len(prefix) if name == "resident" else 0):
                raise RuntimeError(f"{name}: {cached} tokens came from the prefix")
            if number >= 2:  # the first rounds allocate
                samples[name].append(seconds)
    return samples


@click.command()
@click.option("--rounds", default=40, show_default=True)
@click.option("--precision", type=click.Choice(["int8", "fp32"]), default="int8", show_default=True)
def main(rounds: int, precision: str) -> None:
    """Measure and write the record."""
    with TemporaryDirectory() as folder:
        bundle = export_model(fetch_model(), Path(folder) / "bundle", precision, proof=False)
        samples = measure(bundle, rounds)
    cold, resident = (statistics.median(samples[name]) for name in ("cold", "resident"))
    figures = {"ratio": resident / cold}
    config = {"precision": precision, "prefix_tokens": PREFIX_TOKENS, "rest_tokens": REST_TOKENS, "rounds": rounds}
    path = record.write(f"resident_prefix_{precision}", config, samples, figures)
    print(
        f"cold {cold * 1e3:.1f} ms, resident {resident * 1e3:.1f} ms, ratio {resident / cold:.3f}; record: {path.name}"
    )


if __name__ == "__main__":
    main()
