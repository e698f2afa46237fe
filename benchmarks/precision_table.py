"""Size, accuracy and speed of every precision, with llama.cpp's quantisations of the same weights beside them.

    python -m benchmarks.precision_table [--windows 12] [--length 512] [--rounds 10] [--texts heldout,FILE...]

All engines predict the same token windows and are compared with our float32 engine; then they take turns over the same
prompt and the same continuation, so that load of the machine hits all of them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks import record
from benchmarks.contestants import Contestant, OwnEngine
from benchmarks.llama_cpp_peer import FILE_TYPES, LlamaCppModel, load_library, make_file, tensor_types
from benchmarks.precision_report import Row, plot_rows, print_rows
from edge_autoglm import export_model
from edge_autoglm.demo.model import fetch_model
from edge_autoglm.device.threads import default_threads
from edge_autoglm.errors import ExportError
from edge_autoglm.export.options import PRECISIONS
from edge_autoglm.export.proof.divergence import Divergence, DivergenceFigures
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.texts import Text, heldout_text, read_text_file

REFERENCE = "fp32"
PROMPT_TOKENS, DECODED_TOKENS = 250, 64
WARM_UP = 1
_ROWS = 64
"""Positions compared at a time, so that temporaries stay small."""


def open_own(
    source: Path, precisions: Sequence[str], max_kl: float | None, folder: Path, capacity: int, stack: ExitStack
) -> tuple[list[Contestant], Language, dict[str, str]]:
    """Our engines, the model's text side, and why a precision is missing."""
    engines: list[Contestant] = []
    missing: dict[str, str] = {}
    language: Language | None = None
    for precision in precisions:
        spendable = max_kl if precision == "auto" else None
        started = time.perf_counter()
        try:
            bundle = export_model(source, folder / precision, precision, max_kl=spendable, proof=False)
        except ExportError as error:
            missing[precision] = str(error)
            print(f"{precision} is left out: {error}", flush=True)
            continue
        print(f"{precision}: exported in {time.perf_counter() - started:.1f} s", flush=True)
        engines.append(stack.enter_context(closing(OwnEngine(precision, bundle, capacity))))
        language = language or Language.of_bundle(bundle)
    if language is None or engines[0].name != REFERENCE:
        raise click.ClickException("there is no float32 engine to compare with")
    return engines, language, missing


def open_peers(
    source: Path, folder: Path, capacity: int, stack: ExitStack
) -> tuple[list[Contestant], dict[str, str], dict[str, Any]]:
    """llama.cpp's engines, why they are missing if they are, and what they are made of."""
    try:
        library = load_library()
    except ImportError as error:
        reason = f"not installed ({error})"
        print(f"llama.cpp is left out: {reason}", flush=True)
        return [], {"llama.cpp": reason}, {}
    paths = [make_file(library, source, kind, folder) for kind in FILE_TYPES]
    engines = [stack.enter_context(closing(LlamaCppModel(library, path, capacity))) for path in paths]
    about = {"system": library.llama_print_system_info().decode(), "tensors": {p.stem: tensor_types(p) for p in paths}}
    return list(engines), {}, about


def compare(engines: Sequence[Contestant], windows: Sequence[Sequence[int]]) -> dict[str, DivergenceFigures]:
    """How far each engine is from the first one, over all windows."""
    reference, *others = engines
    divergences = {engine.name: Divergence() for engine in engines}
    for number, window in enumerate(windows):
        print(f"window {number + 1} of {len(windows)}", flush=True)
        tokens, targets = window[:-1], window[1:]
        expected = reference.logits(tokens)
        for engine in engines:
            found = engine.logits(tokens) if engine in others else expected
            for begin in range(0, len(tokens), _ROWS):
                rows = slice(begin, begin + _ROWS)
                divergences[engine.name].add(expected[rows], found[rows], targets[rows])
    return {name: divergence.figures() for name, divergence in divergences.items()}


def measure_speed(engines: Sequence[Contestant], tokens: Sequence[int], rounds: int) -> dict[str, list[float]]:
    """Tokens a second of each engine, ``NAME prefill`` and ``NAME decode``; whoever began a round ends the next."""
    prompt, continuation = tokens[:PROMPT_TOKENS], tokens[PROMPT_TOKENS:]
    samples: dict[str, list[float]] = {f"{e.name} {kind}": [] for e in engines for kind in ("prefill", "decode")}
    for number in range(rounds + WARM_UP):
        print(f"round {number + 1} of {rounds + WARM_UP}", flush=True)
        first = number % len(engines)
        for engine in [*engines[first:], *engines[:first]]:
            started = time.perf_counter()
            engine.prefill(prompt)
            filled = time.perf_counter()
            for token in continuation:
                engine.decode(token)
            ended = time.perf_counter()
            if number >= WARM_UP:
                samples[f"{engine.name} prefill"].append(len(prompt) / (filled - started))
                samples[f"{engine.name} decode"].append(len(continuation) / (ended - filled))
    return samples


def _texts(names: str) -> Iterator[Text]:
    for name in names.split(","):
        yield heldout_text() if name == "heldout" else read_text_file(Path(name))


def _precisions(names: str) -> list[str]:
    """The reference first, whether it is named or not."""
    wanted = names.split(",")
    if unknown := set(wanted) - set(PRECISIONS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; known are {', '.join(PRECISIONS)}")
    return [REFERENCE, *(precision for precision in wanted if precision != REFERENCE)]


def _figures(rows: dict[str, list[Row]], missing: dict[str, str]) -> dict[str, Any]:
    texts = {text: {row.name: dataclasses.asdict(row) for row in of_text} for text, of_text in rows.items()}
    return {"texts": texts, "left_out": missing}


@click.command()
@click.option("--windows", default=12, show_default=True, help="Of each text.")
@click.option("--length", default=512, show_default=True, help="Tokens of a window.")
@click.option("--rounds", default=10, show_default=True, help="Of the speed measurement.")
@click.option("--precisions", default=",".join(PRECISIONS), show_default=True)
@click.option("--texts", default="heldout", show_default=True, help="heldout, or UTF-8 files; commas between them.")
@click.option("--max-kl", type=float, help="What auto may spend, in nats a token; its own budget by default.")
def main(windows: int, length: int, rounds: int, precisions: str, texts: str, max_kl: float | None) -> None:
    """Measure, print the table, write the record and the picture."""
    wanted, chosen = _precisions(precisions), list(_texts(texts))
    source = fetch_model()
    capacity = max(length, PROMPT_TOKENS + DECODED_TOKENS)
    with TemporaryDirectory() as name, ExitStack() as stack:
        own, language, missing = open_own(source, wanted, max_kl, Path(name), capacity, stack)
        peers, absent, about = open_peers(source, Path(name), capacity, stack)
        engines = own + peers
        figures = {text.name: compare(engines, language.windows(text, windows, length)) for text in chosen}
        [prompt] = language.windows(chosen[0], 1, PROMPT_TOKENS + DECODED_TOKENS)
        samples = measure_speed(engines, prompt, rounds)
        rows = {text: [Row.of(engine, of[engine.name], samples) for engine in engines] for text, of in figures.items()}
    config = {
        "source": source.name,
        "windows": windows,
        "length": length,
        "rounds": rounds,
        "precisions": wanted,
        "max_kl": max_kl,
        "texts": {text.name: text.sha256 for text in chosen},
        "prompt_tokens": PROMPT_TOKENS,
        "decoded_tokens": DECODED_TOKENS,
        "threads": default_threads(),
        "llama_cpp": about,
    }
    path = record.write("precision_table", config, samples, _figures(rows, missing | absent))
    for text, of_text in rows.items():
        print_rows(of_text, text)
    picture = path.with_suffix(".png")
    plot_rows(rows[chosen[0].name], picture)
    print(f"record: {path.name}, picture: {picture.name}")


if __name__ == "__main__":
    main()
