"""The whole runtime on a GPU: as many requests as an app sends, answers held against the CPU's, swaps, restarts."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm import (
    Bundle,
    Completion,
    HealthPolicy,
    Runtime,
    RuntimeConfig,
    Swapped,
    SwapPolicy,
    TripwirePolicy,
    export_model,
)
from edge_autoglm.errors import DeviceUnavailable, ExportError, MissingDependency
from edge_autoglm.facade.device_choice import choose
from edge_autoglm.facade.kv_pack import PrefixPack
from tests.checkpoints import write_tiny_llama
from tests.facade.conftest import ECHO, MOOD

pytestmark = pytest.mark.gpu

REQUESTS = 1_000
NEW_TOKENS = 16
MOST_PROBABLE = 8
TOLERANCE = 0.03
"""Nats by which a token's log-probability may differ. Both sides compute in float16, and round differently. Over 3,000
tokens of this model on ONNX Runtime's CPU, float16 differs from float32 by 0.0055 at most, and int8 by 0.12: a wrong
mask, a wrong position or a stale key shows by more than that."""
MAY_DIVERGE = 0.03
"""Share of the answers that may go another way, each at a token that is nearly as probable. On the CPU, 1 of 200 does
between float16 and float32, and 18 of 200 between int8 and float32."""
CONFIG = RuntimeConfig(
    seed=1,
    slots=8,
    context_length=383,
    max_waiting=REQUESTS,
    promote_every=None,
    # Of a random model every answer is garbage, and how fast it is does not matter here.
    swap_policy=SwapPolicy(HealthPolicy(max_latency_ratio=None), tripwires=TripwirePolicy(requests=0)),
)
WORDS = "the and is of a film good bad this text great movie user answer end"
TEXTS = ("good", "a great film", "你好", "this movie is bad and the text of this user is good")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_AUTOGLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("gpu") / "checkpoint")


@pytest.fixture(scope="module")
def task_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("tasks")
    for name, text in (("mood", MOOD), ("echo", ECHO)):
        (folder / f"{name}.yaml").write_text(text)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module", params=["tensorrt", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def bundle(device: str, checkpoint: Path, task_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """In float16, with a plan for the GPU at hand where that is asked for."""
    out = tmp_path_factory.mktemp(device) / "bundle"
    try:
        made = export_model(
            checkpoint,
            out,
            "fp16",
            "tensorrt",
            tasks=task_files,
            proof=False,
            plan=device == "tensorrt",
            slots=CONFIG.slots if device == "tensorrt" else None,
            capacity=383,
        )
        choose(made, device)
    except (DeviceUnavailable, MissingDependency, ExportError) as error:  # no library, or not for this GPU
        pytest.skip(str(error))
    return made


def open_on(device: str, bundle: Bundle, state: Path | None = None) -> Runtime:
    return Runtime.open(bundle, state, threads=1, device=device, config=CONFIG)


def prompts(count: int) -> tuple[list[str], list[str]]:
    """Of up to two pages; those of the second list go on from those of the first."""
    draw = random.Random(0)

    def words(least: int, most: int) -> str:
        return " ".join(draw.choices(WORDS.split(), k=draw.randint(least, most)))

    first = [words(3, 120) for _ in range(count // 2)]
    return first, [f"{text} {words(1, 30)}" for text in first]


def complete(runtime: Runtime, asked: Sequence[str]) -> list[Completion]:
    """Greedy, all at once."""
    futures = [runtime.submit_generate(text, max_new_tokens=NEW_TOKENS, logprobs=MOST_PROBABLE) for text in asked]
    return [future.result() for future in futures]


def cached(completions: Sequence[Completion]) -> float:
    """Share of the prompt tokens whose KV was held."""
    usages = [each.usage for each in completions]
    return sum(usage.num_cached_tokens for usage in usages) / sum(usage.prompt_tokens for usage in usages)


def answers(runtime: Runtime) -> list[object]:
    scored = [runtime.run("mood", {"text": text}, variant=name) for text in TEXTS for name in ("framed", "chat")]
    told = [runtime.run("echo", {"text": text}, variant="answer").text for text in TEXTS]
    return [[reply.scores for reply in scored], told, runtime.score("the film is", [" good", " bad", " the movie"])]


def diverges(expected: Completion, found: Completion) -> bool:
    """Whether an answer goes another way than the CPU's.

    Up to there every token must be as probable, within the tolerance; and the token that was taken instead must be
    nearly as probable, to the CPU, as the one that it took itself.
    """
    for theirs, ours in zip(expected.logprobs, found.logprobs, strict=False):
        if theirs.token != ours.token:
            known = dict(theirs.top)
            assert ours.token in known, f"{ours} is none of the likely tokens {theirs}"
            assert theirs.logprob - known[ours.token] <= TOLERANCE
            return True
        assert abs(theirs.logprob - ours.logprob) <= TOLERANCE
    assert len(expected.logprobs) == len(found.logprobs)
    assert found.text == expected.text
    return False


def test_it_runs_where_it_was_asked_to(device: str, bundle: Bundle) -> None:
    with open_on(device, bundle) as runtime, open_on("auto", bundle) as best:
        placement = runtime.stats.placement
        assert placement.device == best.stats.placement.device == device
        assert placement.passed_over == ()
        assert "driver" in placement.hardware
        model = runtime._buffer.active.model
        assert model.engine.facts.fingerprint.startswith(f"{bundle.fingerprint}-{device}")
        assert model.engine.facts.kv_bytes_per_token == 2 * 2 * 2 * 16 * 2  # 2 layers, keys and values, 2 heads of 16


def test_a_thousand_requests_are_answered_as_on_the_cpu(device: str, bundle: Bundle) -> None:
    first, second = prompts(REQUESTS)
    with open_on("cpu", bundle) as runtime:
        expected = complete(runtime, first) + complete(runtime, second)
    with open_on(device, bundle) as runtime:
        found = complete(runtime, first) + complete(runtime, second)
    diverging = sum(diverges(*pair) for pair in zip(expected, found, strict=True))
    assert diverging <= MAY_DIVERGE * REQUESTS
    assert cached(found[len(first) :]) > 0.7
    assert max(each.usage.prompt_tokens for each in found) > 200, "page upon page"


def test_answers_are_the_same_whatever_is_batched_or_cached(device: str, bundle: Bundle) -> None:
    first, second = prompts(200)

    def said(completions: Sequence[Completion]) -> list[object]:
        return [(each.text, each.logprobs) for each in completions]

    with open_on(device, bundle) as runtime:
        complete(runtime, first)
        together = complete(runtime, second)
    assert cached(together) > 0.7
    with open_on(device, bundle) as runtime:
        alone = [complete(runtime, [text])[0] for text in second]
    assert cached(alone) < 0.1
    assert said(together) == said(alone)  # to the bit


def test_swaps_under_streams_change_no_answer(
    device: str, bundle: Bundle, task_files: list[Path], tmp_path: Path
) -> None:
    """Prompts that are not asked for are swapped, and policies: forks of one slot, checked beside the requests."""
    changed = tmp_path / "mood.yaml"
    [echo, mood] = task_files
    changed.write_text(mood.read_text().replace("A film is good or bad.", "A film is great, or it is bad."))
    other = bundle.derive(tmp_path / "derived", [changed, echo])
    stop, answered = threading.Event(), [0] * 4
    failures: list[object] = []

    def ask(runtime: Runtime, worker: int, expected: dict[str, str]) -> None:
        try:
            while not stop.is_set():
                text = TEXTS[(worker + answered[worker]) % len(TEXTS)]
                stream = runtime.stream("echo", {"text": text}, variant="answer")
                if "".join(stream).strip() != expected[text]:
                    failures.append((text, stream.reply.text))
                answered[worker] += 1
        except Exception as error:
            failures.append(error)

    with open_on(device, bundle) as runtime:
        expected = {text: runtime.run("echo", {"text": text}, variant="answer").text for text in TEXTS}
        workers = [threading.Thread(target=ask, args=(runtime, worker, expected)) for worker in range(len(answered))]
        for worker in workers:
            worker.start()
        outcomes: list[object] = []
        for number in range(10):
            outcomes += [runtime.swap(other if number % 2 == 0 else bundle), runtime.learner.promote()]
        stop.set()
        for worker in workers:
            worker.join()
        assert runtime.stats.placement.device == device
    assert not failures
    assert outcomes == [Swapped(number) for number in range(2, 22)]
    assert all(answered)


def test_another_engine_is_swapped_in_on_the_gpu(
    device: str, bundle: Bundle, checkpoint: Path, task_files: list[Path], tmp_path: Path
) -> None:
    int8 = export_model(
        checkpoint,
        tmp_path / "int8",
        "int8",
        "tensorrt",
        tasks=task_files,
        proof=False,
        plan=device == "tensorrt",
        capacity=383,
    )
    with open_on(device, bundle) as runtime, open_on(device, int8) as fresh:
        before = answers(runtime)
        assert runtime.swap(int8) == Swapped(2)
        assert answers(runtime) == answers(fresh) != before
        assert runtime.swap(bundle) == Swapped(3)
        assert answers(runtime) == before


def test_prefixes_are_restored_on_the_device(device: str, bundle: Bundle, tmp_path: Path) -> None:
    told = tmp_path / "mood.yaml"
    told.write_text(MOOD.replace("A film is good or bad.", "A film is good or bad. " * 25))
    long = bundle.derive(tmp_path / "long", [told])
    runs = []
    for _ in range(2):
        with open_on(device, long, tmp_path / "state") as runtime:
            opened = runtime.stats.kv
            replies = [runtime.run("mood", {"text": text}, variant="framed") for text in TEXTS]
            assert min(reply.usage.num_cached_tokens for reply in replies) > 128, "more than is computed again"
            runs.append((opened, [reply.scores for reply in replies]))
            held = [held.segment.arrays[0] for held in runtime._buffer.active.model.kv.pinned()]
            on_host = [isinstance(array, np.ndarray) for array in held]
            assert held
            assert any(on_host) == (len(runs) == 2), "computed on the device first, then read from the disk"
    (first, said), (second, again) = runs
    assert first.lookups > 0
    assert second.lookups == 0, "a prefix that has to be computed looks up first what is held of it"
    assert second.pinned_bytes == first.pinned_bytes
    assert again == said  # to the bit


def test_prefixes_of_the_cpu_are_not_restored_on_the_gpu(
    device: str, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_on("cpu", bundle, tmp_path):
        pass
    with open_on(device, bundle) as runtime:
        said, model = answers(runtime), runtime._buffer.active.model
        before = model.kv.stats.nbytes
        PrefixPack(tmp_path, 1).restore(model)
        assert model.kv.stats.nbytes == before
    assert "resident prefixes are computed anew" in caplog.text
    with open_on(device, bundle, tmp_path) as runtime:
        assert runtime.stats.kv.lookups > 0
        assert answers(runtime) == said
