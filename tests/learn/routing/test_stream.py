"""On what users might say, with the built-in tasks; see ``benchmarks/routing`` for the whole measurement."""

from __future__ import annotations

from benchmarks.routing.stream import PHRASES, STRANGE, stream
from edge_autoglm.facade.routing import THRESHOLD, task_texts
from edge_autoglm.learn.routing.router import Router
from edge_autoglm.prompts import Catalogue, builtin_task_files


def test_errors_fall_and_strange_texts_are_not_claimed() -> None:
    tasks = {task.name: task_texts(task) for task in Catalogue.load(builtin_task_files()).tasks if task.name in PHRASES}
    names, wrong = list(tasks), []
    router = Router(b"key")
    router.seed(tasks)
    for text, task in stream(7, 300):
        route = router.route(text, names, THRESHOLD)
        wrong.append(next(iter(route.scores)) != task)
        router.learn([(route.features, task)], names)
    assert sum(wrong[:50]) < 0.5 * 50  # chance would be wrong in 5 of 6
    assert sum(wrong[200:]) < 0.15 * 100
    refused = [router.route(text, names, THRESHOLD).fallback for text in STRANGE]
    assert sum(refused) >= 0.7 * len(refused)
