"""The page of all peer records: made from the records alone, so that it can be made again at any time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.markdown import number, percent, table
from benchmarks.peers.experiments import CRITICAL, EXPERIMENTS
from benchmarks.peers.lineup import OWN
from benchmarks.peers.plots import draw_bars, draw_growth
from benchmarks.peers.results import Results

PAGE = "peers.md"
_PREFIX = "peers_"
_GIGABYTE, _MEGABYTE = 1e9, 1e6
_MILLISECONDS = 1e3
_P95 = 95
_LEAST_SHARE = 0.01
"""Below this, cached tokens are chance: prompts that begin with the same word."""

_INTRODUCTION = """\
# Peers side by side

Made by `python -m benchmarks.peers page` from the records in this folder; do not edit. All contestants of a section ran
in one campaign: the same weights, the same prompt tokens, the same number of threads, turn and turn about, one
computing while the others rest. Figures are medians over the rounds; compare within a section, not between sections.
Every sample is in the record.
"""


def write_page(records: Path) -> Path:
    """Write the page and its pictures beside the records; the page's path.

    Raises:
        FileNotFoundError: There are no records of peers.
    """
    paths = sorted(records.glob(f"{_PREFIX}*.json"))
    if not paths:
        raise FileNotFoundError(f"{records} has no {_PREFIX}*.json: measure first")
    everything = [Results.read(path) for path in paths]
    order = list(EXPERIMENTS)
    everything.sort(key=lambda results: (order.index(results.content["config"]["experiment"]), results.name))
    parts = [_INTRODUCTION, *("\n".join(_section(results, records)) for results in everything)]
    page = records / PAGE
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


def _section(results: Results, records: Path) -> Iterator[str]:
    config, host = results.content["config"], results.content["host"]
    yield f"## {EXPERIMENTS[config['experiment']].title} ({config['model']})"
    yield ""
    yield (
        f"{config['threads']} threads of {host['cpu']} ({', '.join(host['cpu_features'])}), {config['rounds']} rounds, "
        f"{config['new_tokens']} new tokens a request, {host['taken_at'][:10]}. Record: `{results.name}.json`."
    )
    yield ""
    picture = records / f"{results.name}.png"
    yield from _BODIES[config["experiment"]](results, picture)
    yield ""
    yield f"![{EXPERIMENTS[config['experiment']].title}]({picture.name})"
    yield ""
    yield from _notes(results)


def _single(results: Results, picture: Path) -> Iterator[str]:
    [case] = results.cases
    metrics = ("prefill", "decode", "itl", "ttft")
    rows = []
    for name in results.contestants:
        prefill, decode, itl, ttft = (results.median(name, case, metric) for metric in metrics)
        nbytes = results.content["figures"]["weight_bytes"][name]
        cells = [
            name,
            number(prefill),
            number(decode, 1),
            number(itl, 2, _MILLISECONDS),
            number(ttft, 0, _MILLISECONDS),
        ]
        cells += [number(nbytes, 0, 1 / _MEGABYTE), percent(results.memory_share(name, case))]
        rows.append(cells)
    heads = ("contestant", "prefill, tok/s", "decode, tok/s", "token to token, ms", "first token, ms")
    yield from table((*heads, "MB read a token", "share of DRAM"), rows)
    if results.memory is not None:
        yield ""
        yield f"The memory gives {results.memory / _GIGABYTE:.1f} GB/s to as many threads."
    yield ""
    yield from _lead_table(results, case, ("prefill", "decode"))
    draw_bars(
        results, picture, [(case, "prefill", "prefill, tokens a second"), (case, "decode", "decode, tokens a second")]
    )


def _concurrent(results: Results, picture: Path) -> Iterator[str]:
    alone, many, _ = results.cases
    rows = []
    for name in results.contestants:
        found = {case: results.median(name, case, "throughput") for case in results.cases}
        gain = (found[many] or 0.0) / (found[alone] or math.inf)
        rows.append([name, *(number(value, 1) for value in found.values()), number(gain, 2)])
    yield "New tokens a second, all requests together:"
    yield ""
    yield from table(("contestant", *results.cases, f"{many} / {alone}"), rows)
    for case in results.cases:
        yield ""
        yield f"Of that, {case}:"
        yield ""
        yield from _lead_table(results, case, ("throughput",))
    draw_bars(results, picture, [(case, "throughput", f"{case}, new tokens a second") for case in results.cases])


def _critical(results: Results, picture: Path) -> Iterator[str]:
    metric = f"ttft {CRITICAL}"
    rows = []
    for name in results.contestants:
        idle, loaded = (results.percentile(name, case, metric, _P95) for case in results.cases)
        ratio = loaded / idle if idle and loaded else None
        rows.append([name, number(idle, 1, _MILLISECONDS), number(loaded, 1, _MILLISECONDS), number(ratio, 2)])
    heads = ("contestant", *(f"p95 first token {case}, ms" for case in results.cases), "ratio")
    yield from table(heads, rows)
    draw_bars(results, picture, [(case, metric, f"{case}, seconds to first token") for case in results.cases])


def _lengths(results: Results, picture: Path) -> Iterator[str]:
    yield from _growth_table(results, "prefill", "Prefill, tokens a second, by tokens of the prompt:")
    yield ""
    yield from _growth_table(results, "decode", "Decode, tokens a second, behind such a prompt:", 1)
    panels = [("prefill", "prefill, tokens a second"), ("decode", "decode, tokens a second")]
    draw_growth(results, picture, "tokens of the prompt", panels)


def _rows(results: Results, picture: Path) -> Iterator[str]:
    yield from _growth_table(results, "throughput", "New tokens a second, all rows together, by rows:", 1)
    draw_growth(results, picture, "rows", [("throughput", "new tokens a second")])


_BODIES: dict[str, Callable[[Results, Path], Iterator[str]]] = {
    "single": _single,
    "scale": _single,
    "concurrent": _concurrent,
    "critical": _critical,
    "lengths": _lengths,
    "rows": _rows,
}


def _growth_table(results: Results, metric: str, title: str, digits: int = 0) -> Iterator[str]:
    yield title
    yield ""
    rows = [
        [name, *(number(results.median(name, case, metric), digits) for case in results.cases)]
        for name in results.contestants
    ]
    yield from table(("contestant", *results.cases), rows)


def _lead_table(results: Results, case: str, metrics: Sequence[str]) -> Iterator[str]:
    """Ours over theirs, at the same bits."""
    own = [name for name in results.contestants if name.startswith(OWN)]
    leads = {metric: list(results.leads(own, case, metric)) for metric in metrics}
    rows = [
        [f"{name} / {peer}", *(number(leads[metric][place][2], 2) for metric in metrics)]
        for place, (name, peer, _) in enumerate(leads[metrics[0]])
    ]
    yield from table(("ratio of medians", *metrics), rows)


def _notes(results: Results) -> Iterator[str]:
    figures = results.content["figures"]
    for name, reason in figures["absent"].items():
        yield f"- {name} is absent: {' '.join(reason.split())}"
    for name, count in figures["short_answers"].items():
        if count:
            yield f"- {name} ended {count} answers before their last token (end of text)."
    for name, shares in figures["cached_share"].items():
        for case, share in shares.items():
            if share >= _LEAST_SHARE:
                yield f"- {name} had up to {share:.0%} of the prompt tokens of a round in its cache ({case})."
    agreeing: dict[str, list[str]] = {}
    for name, text in figures["first_answers"].items():
        agreeing.setdefault(text, []).append(name)
    for text, names in agreeing.items():
        yield f"- First answer of {', '.join(names)}: {text[:80]!r}"
    yield ""
