"""Tasks, their prompt variants, and how a request is rendered."""

from edge_autoglm.prompts.catalogue import Catalogue, builtin_task_files
from edge_autoglm.prompts.loader import load_task
from edge_autoglm.prompts.render import ChatRenderer, check_inputs, label_texts, render, static_prefix
from edge_autoglm.prompts.task import PLAIN, Kind, Task, Variant

__all__ = [
    "PLAIN",
    "Catalogue",
    "ChatRenderer",
    "Kind",
    "Task",
    "Variant",
    "builtin_task_files",
    "check_inputs",
    "label_texts",
    "load_task",
    "render",
    "static_prefix",
]
