"""Look-up speculation against plain decoding: extraction and copying on one side, free text on the other.

    python -m benchmarks.lookup_speculation BUNDLE [--rounds 3]

BUNDLE has an int8 KV cache (``export --kv int8``): elsewhere speculation is off. Every prompt is answered with and
without speculation, in turn, in one process over the same weights; the answers must be the same.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import click
from rich.progress import track

from benchmarks import record
from edge_autoglm import Bundle, RuntimeConfig, SamplingParams
from edge_autoglm.demo.snippets import load_snippets
from edge_autoglm.device.threads import default_threads
from edge_autoglm.facade.loading import load_model
from edge_autoglm.runtime.model import LanguageModel

NEW_TOKENS = 64
_RECORDS = (
    "Order 4471: 2 x Halden desk lamp (brass), 1 x Oria floor mat 120x180 cm, ship to Miller & Sons, 14 Quay Street.",
    "Ticket 902: the printer Zephyr LP-330 in hall 4 stops after eleven labels; serial ZL33-00917-B, firmware 2.4.",
    "Visit 17: pump station Nordhafen, by A. Lindqvist on 3 March; valve V-12 replaced, pressure 4.2 bar, next: June.",
    "Delivery 3308: 36 cartons of Solvane cleaning agent (5 l), lot S-2291, at dock 7 by R. Okafor, 06:45 on Monday.",
)
_EXTRACTION = "Copy the record into the form, word for word.\nRecord: {0}\nForm: {0}\nRecord: {1}\nForm:"
_FREE = "<|im_start|>user\nWrite a short story that begins with: {0}<|im_end|>\n<|im_start|>assistant\n"


def prompts() -> dict[str, list[str]]:
    """By kind."""
    pairs = [(one, other) for one in _RECORDS for other in _RECORDS if one != other]
    snippets = load_snippets(12, seed=29)
    return {
        "extraction": [_EXTRACTION.format(*pair) for pair in pairs],
        "free text": [_FREE.format(snippet.text) for snippet in snippets],
    }


def decode(model: LanguageModel, prompt: str) -> tuple[str, float, int]:
    """Text, seconds from the first token to the end, and accepted drafts."""
    params = SamplingParams(max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS)
    stream = model.stream(model.encode_prompt(prompt), params)
    text = stream.read()
    return text, stream.timings.total - stream.timings.ttft, stream.usage.accepted_tokens


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", default=3, show_default=True)
def main(bundle: Path, rounds: int) -> None:
    """Measure and write the record."""
    opened = Bundle.open(bundle)
    config = RuntimeConfig(slots=1, context_length=1024, speculate=False, kv_cache_bytes=0)
    plain = load_model(opened, default_threads(), config)
    if not plain.engine.facts.exact_decode:
        raise click.ClickException(f"{bundle}: speculation is off on this engine. Export it with --kv int8.")
    speculating = LanguageModel(plain.engine.fork(1), plain.tokenizer, plain.chat, (), None, kv=plain.kv)
    samples: dict[str, list[float]] = {}
    accepted: dict[str, int] = {}
    for number in track(range(rounds + 1), transient=True):  # the first round warms up and teaches the cost of a step
        for kind, texts in prompts().items():
            for prompt in texts:
                one, plain_seconds, _ = decode(plain, prompt)
                other, seconds, right = decode(speculating, prompt)
                if one != other:
                    raise RuntimeError(f"speculation changed an answer: {one!r} is not {other!r}")
                if number:
                    samples.setdefault(f"{kind} plain", []).append(plain_seconds)
                    samples.setdefault(f"{kind} speculated", []).append(seconds)
                    samples.setdefault(f"{kind} ratio", []).append(plain_seconds / seconds)
                    accepted[kind] = accepted.get(kind, 0) + right
    figures = {
        kind: {
            "speed-up, median of prompts": statistics.median(samples[f"{kind} ratio"]),
            "speed-up, total time": sum(samples[f"{kind} plain"]) / sum(samples[f"{kind} speculated"]),
            "least": min(samples[f"{kind} ratio"]),
            "accepted": accepted[kind] / (NEW_TOKENS * len(samples[f"{kind} ratio"])),
        }
        for kind in prompts()
    }
    entry = opened.manifest.engines[0]
    config_of = {"precision": entry.precision, "kv": entry.kv_type, "new_tokens": NEW_TOKENS, "rounds": rounds}
    record.write(f"lookup_speculation_{entry.precision}", config_of, samples, figures)
    for kind, figure in figures.items():
        print(kind, figure)


if __name__ == "__main__":
    main()
