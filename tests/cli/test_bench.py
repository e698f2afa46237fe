"""``edge-autoglm bench`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_autoglm import Bundle, export_model
from edge_autoglm.cli import main
from tests.checkpoints import write_tiny_llama


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bench-cli")
    return export_model(write_tiny_llama(folder / "checkpoint"), folder / "tiny.bundle", "fp32", proof=False)


def _bench(*arguments: str | Path) -> Result:
    small = ("--prompt-tokens", "16", "--new-tokens", "4", "--repeat", "2", "--threads", "1")
    return CliRunner().invoke(main, ["bench", *small, *(str(argument) for argument in arguments)])


def _refused(result: Result, *named: str) -> None:
    assert result.exit_code == 1, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    for text in named:
        assert text in message
    assert "Traceback" not in result.output


def test_a_table_for_people_and_a_record_for_machines(bundle: Bundle, tmp_path: Path) -> None:
    result = _bench(bundle.root, "--concurrency", "2", "--json", tmp_path / "bench.json")
    assert result.exit_code == 0, result.output
    for part in ("first token", "inter-token", "prefill", "decode", "throughput", "2 at once", "Load: ", "Peak memory"):
        assert part in result.stdout
    record = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert record["config"]["prompt_tokens"] == 16
    assert record["config"]["concurrency"] == 2
    assert [len(each["requests"]) for each in record["rounds"]] == [2, 2]
    assert record["figures"]["ttft"]["count"] == 4
    assert record["bundle"]["digest"] == bundle.digest


def test_the_plot_is_a_png(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra bench")
    result = _bench(bundle.root, "--plot", tmp_path / "bench.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_progress_does_not_mix_with_the_figures(bundle: Bundle) -> None:
    result = _bench(bundle.root)
    assert "measuring" in result.stderr
    assert "measuring" not in result.stdout


def test_a_missing_bundle(tmp_path: Path) -> None:
    _refused(_bench(tmp_path / "nowhere"), "nowhere", "export")


def test_more_tokens_than_the_model_can_take(bundle: Bundle) -> None:
    _refused(_bench(bundle.root, "--prompt-tokens", "600"), "600", "512")


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_outputs_are_checked_before_anything_is_measured(bundle: Bundle, tmp_path: Path, option: str) -> None:
    result = _bench(bundle.root, option, tmp_path / "no" / "figures.png")
    _refused(result, "figures.png")
    assert "measuring" not in result.output
    assert not list(tmp_path.iterdir())


def test_another_picture_format_is_refused_before_anything_is_measured(bundle: Bundle, tmp_path: Path) -> None:
    result = _bench(bundle.root, "--plot", tmp_path / "bench.svg")
    assert result.exit_code == 2
    assert ".png" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--prompt-tokens", "--new-tokens", "--repeat", "--concurrency", "--threads"])
def test_numbers_below_one_are_usage_errors(bundle: Bundle, option: str) -> None:
    result = _bench(bundle.root, option, "0")
    assert result.exit_code == 2
    assert option in result.output


def test_help_says_what_each_figure_means() -> None:
    output = CliRunner().invoke(main, ["bench", "--help"]).output
    for part in ("first token", "inter-token", "prefill", "decode", "throughput", "peak memory", "--json bench.json"):
        assert part in output
