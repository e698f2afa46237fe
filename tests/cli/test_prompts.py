"""The commands that look at task files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_autoglm import Bundle, export_model
from edge_autoglm.cli import main
from edge_autoglm.prompts import builtin_task_files
from tests.checkpoints import write_tiny_llama


def run(*arguments: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["prompts", *(str(argument) for argument in arguments)])
    assert result.exit_code == code, result.output
    return result


def said(result: Result) -> str:
    """What it said, whatever the width of the terminal."""
    return " ".join(result.output.split())


def figures(tmp_path: Path, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    run(*arguments, "--json", tmp_path / "figures.json", code=code)
    return dict(json.loads((tmp_path / "figures.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny random Llama with the built-in library."""
    folder = tmp_path_factory.mktemp("prompts")
    return export_model(write_tiny_llama(folder / "checkpoint"), folder / "tiny.bundle", "int8", proof=False)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A copy of the library, to be changed."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    for path in builtin_task_files():
        shutil.copy(path, folder)
    return folder


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("command", ["list", "show", "diff", "check"])
def test_help_has_examples(command: str) -> None:
    assert run(command, "--help").output.count("edge-autoglm prompts") >= 2


def test_list_takes_the_library_bundles_folders_and_files(bundle: Bundle, library: Path, tmp_path: Path) -> None:
    assert "sentiment" in said(run("list"))
    listed = figures(tmp_path, "list", bundle.root, library, library / "ask.yaml")["sources"]
    names = [[task["task"] for task in source["tasks"]] for source in listed]
    assert names[0] == names[1] == [path.stem for path in builtin_task_files()]
    assert names[2] == ["ask"]
    assert listed[0]["tasks"][0]["fingerprint"] == listed[1]["tasks"][0]["fingerprint"]
    assert listed[0]["tasks"][0]["version"] == "1.0.0"


def test_show_a_variant_of_the_library() -> None:
    shown = run("show", "sentiment", "review").output
    assert "name a --bundle" in " ".join(shown.split())
    assert "Review: {{ text }}" in shown
    assert "Review: A wonderful film" in shown


def test_show_renders_with_the_template_of_the_bundle(bundle: Bundle, library: Path, tmp_path: Path) -> None:
    arguments = ("sentiment", "question", "--probe", "3")
    of_bundle = figures(tmp_path, "show", bundle.root, *arguments)["variants"]
    of_file = figures(
        tmp_path, "show", library / "sentiment.yaml", "question", "--probe", "3", "--bundle", bundle.root
    )["variants"]
    assert of_bundle == of_file
    (variant,) = of_bundle
    assert variant["rendering"].startswith("<|im_start|>user\nIs the following text")
    assert "Best coffee in town!<|im_end|>" in variant["rendering"]
    assert variant["rendering"].startswith(variant["static_prefix"])
    assert 0 < variant["prefix_tokens"] < variant["prompt_tokens"]


def test_show_has_the_settings_that_are_not_the_usual_ones(tmp_path: Path) -> None:
    (yes_no,) = figures(tmp_path, "show", "sentiment", "yes_no")["variants"]
    assert yes_no["settings"] == {"verbalizer.positive": " yes", "verbalizer.negative": " no"}
    (sampled,) = figures(tmp_path, "show", "ask", "sampled")["variants"]
    assert sampled["settings"]["decoding.temperature"] == "0.6"


def test_show_a_task_has_all_its_variants(library: Path, tmp_path: Path) -> None:
    assert len(figures(tmp_path, "show", "ask")["variants"]) == 6
    assert len(figures(tmp_path, "show", library / "ask.yaml", "ask", "plain")["variants"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sentimental",), "there is no task 'sentimental'"),
        (("ask", "loud"), "task ask has no variant 'loud'. Name one of: plain, concise"),
        (("gone.yaml",), "gone.yaml: there is no such file"),
        (("gone.bundle", "ask", "plain"), "gone.bundle: there is no such file"),
    ],
)
def test_show_what_there_is_not(arguments: tuple[str, ...], message: str) -> None:
    assert message in said(run("show", *arguments, code=1))


def test_show_bad_arguments(library: Path) -> None:
    assert "probes 1 to" in said(run("show", "ask", "--probe", "9", code=2))
    assert "has 8 tasks. Name one of them" in said(run("show", library, code=1))
    assert "at most a source" in said(run("show", library, "ask", "plain", "more", code=2))


def test_diff_of_a_bundle_and_a_folder(bundle: Bundle, library: Path, tmp_path: Path) -> None:
    assert "0 of 8 tasks differ." in run("diff", bundle.root, library).output
    replace(library / "ask.yaml", "      Q: {{ question }}", "      Question: {{ question }}")
    replace(library / "topic.yaml", "version: 1.0.0", "version: 1.0.1")
    (library / "summarize.yaml").unlink()
    found = {task["task"]: task for task in figures(tmp_path, "diff", bundle.root, library)["tasks"]}
    assert found["summarize"]["status"] == "removed"
    assert (found["topic"]["status"], found["topic"]["versioned"]) == ("same", True)
    ask = found["ask"]
    assert (ask["deserves"], ask["versioned"], ask["expected_version"]) == ("minor", False, "1.1.0")
    (change,) = ask["variants"][0]["changes"]
    assert "+Question: {{ question }}" in change["diff"]


def test_diff_shows_templates_and_says_which_version_to_write(library: Path) -> None:
    old = builtin_task_files()[0]
    assert old.name == "ask.yaml"
    replace(library / "ask.yaml", "      Q: {{ question }}", "      Question: {{ question }}")
    replace(library / "ask.yaml", "temperature: 0.6", "temperature: 0.7")
    output = run("diff", old, library / "ask.yaml", "--strict", code=1).output
    assert "-Q: {{ question }}\n+Question: {{ question }}" in output
    assert "decoding.temperature" in output
    assert "a minor change; write version: 1.1.0, or higher" in output
    replace(library / "ask.yaml", "version: 1.0.0", "version: 1.1.0")
    assert "fits a minor change" in run("diff", old, library / "ask.yaml", "--strict").output


def test_diff_of_one_file_leaves_the_other_tasks_out(bundle: Bundle, library: Path) -> None:
    assert "0 of 1 tasks differ." in run("diff", bundle.root, library / "ask.yaml").output
    assert "0 of 1 tasks differ." in run("diff", bundle.root, library, "--task", "topic").output
    assert "neither side has a task 'x'" in said(run("diff", bundle.root, library, "--task", "x", code=1))


def test_check_says_what_it_cannot_check_without_a_tokenizer(tmp_path: Path) -> None:
    result = run("check", "--strict")
    assert "for want of a tokenizer: labels, prefix, cost" in said(result)
    assert figures(tmp_path, "check")["sources"][0]["not_checked"] == ["labels", "prefix", "cost"]


def test_check_counts_with_the_tokenizer_of_the_bundle(bundle: Bundle, library: Path, tmp_path: Path) -> None:
    (of_bundle,) = figures(tmp_path, "check", bundle.root)["sources"]
    for path in library.iterdir():
        if path.stem != "ask":
            path.unlink()
    (of_folder,) = figures(tmp_path, "check", library, "--bundle", bundle.root)["sources"]
    found = [cost["prefix_tokens"] for cost in of_bundle["costs"] if cost["task"] == "ask"]
    assert found == [cost["prefix_tokens"] for cost in of_folder["costs"]]
    assert of_bundle["errors"] == 0
    assert of_bundle["warnings"] > 0
    assert {cost["resident_bytes"] % 512 for cost in of_bundle["costs"]} == {0}  # 2 x 2 layers x 2 heads x 16 x 4 bytes
    arguments = ("check", library, "--bundle", bundle.root)
    replace(
        library / "ask.yaml",
        "      Q: {{ question }}",
        "      {{ question }}\n      Answer in one short sentence, please.",
    )
    run(*arguments)
    run(*arguments, "--strict", code=1)


def test_check_goes_on_behind_a_file_that_is_broken_and_fails(library: Path, tmp_path: Path) -> None:
    replace(library / "ask.yaml", "      Q: {{ question }}", "      Q: {{ question }} {{ mood }}")
    replace(library / "topic.yaml", "kind: classify", "kind: sort")
    output = said(run("check", library, code=1))
    assert "error: ask.yaml:24: variants[2].prompt of variant completion uses the undefined variable 'mood'" in output
    assert "error: topic.yaml:4: kind is 'sort'" in output
    assert "6 tasks" in output
    findings = figures(tmp_path, "check", library, code=1)["sources"][0]["findings"]
    assert [(finding["line"], finding["field"]) for finding in findings] == [(24, "variants[2].prompt"), (4, "kind")]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "the folder has no task file" in said(run("check", tmp_path, code=1))
