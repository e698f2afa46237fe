"""Adds examples, documents and facts without end, and says what is on the disk: ``test_kills`` kills it."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.documents import DocumentStore
from edge_autoglm.knowledge.examples import ExampleStore
from edge_autoglm.knowledge.facts import FactStore


def main(file: Path, start: int) -> None:
    database = Database(file)
    examples, documents, facts = ExampleStore(database), DocumentStore(database), FactStore(database)
    for number in itertools.count(start):
        examples.add("mood", {"text": f"example {number}"}, "good")
        documents.add("The same sentence again. " * 60, title=f"document {number}")
        fact = facts.add(f"fact {number}")
        os.write(1, f"{number}\n".encode())
        if number % 5 == 4:
            facts.remove(fact.id)  # purging is where most of the file is rewritten


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
