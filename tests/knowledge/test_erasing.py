"""What is erased is gone from the disk: no byte of it is left in any file of the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_autoglm.knowledge.conversations import ConversationState, ConversationStore, Turn
from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.documents import DocumentStore
from edge_autoglm.knowledge.examples import ExampleStore
from edge_autoglm.knowledge.facts import FactStore

SECRET = "xylophonist"
FILLER = "an ordinary sentence with words in it"


class Stores:
    def __init__(self, database: Database) -> None:
        self.examples, self.documents = ExampleStore(database, budget_bytes=20_000), DocumentStore(database)
        self.facts, self.conversations = FactStore(database), ConversationStore(database, budget_bytes=5000)

    def fill(self) -> None:
        """Something stays beside what is erased, so that pages are shared."""
        for number in range(40):
            secret = f"{SECRET} {number}" if number % 4 == 0 else FILLER
            self.examples.add("mood", {"text": f"{secret} {number}"}, "good")
            self.documents.add(f"{secret} {number}. " * 30, title=f"{secret} {number}")
            self.facts.add(f"{secret} {number}", conversation="c" if number % 4 == 0 else None)
        self.conversations.save(ConversationState("c", SECRET, SECRET), [Turn(SECRET, SECRET)])
        self.conversations.save(ConversationState("d"), [Turn(FILLER, FILLER)])


def remove_each(stores: Stores) -> None:
    stores.examples.remove(*(one.id for one in stores.examples.list() if SECRET in one.inputs["text"]))
    stores.documents.remove(*(one.id for one in stores.documents.list() if SECRET in one.title))
    stores.facts.remove(*(one.id for one in stores.facts.list() if SECRET in one.text))
    stores.conversations.erase("c")


def erase_all(stores: Stores) -> None:
    stores.examples.erase()
    stores.documents.erase()
    stores.facts.erase()
    stores.conversations.erase()


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("erase", [remove_each, erase_all])
def test_removed_and_erased_texts_leave_no_trace(file: Path, erase: Callable[[Stores], None]) -> None:
    database = Database(file)
    stores = Stores(database)
    stores.fill()
    assert SECRET.encode() in bytes_in(file.parent)
    erase(stores)
    assert SECRET.encode() not in bytes_in(file.parent)
    assert SECRET[:6].encode() not in bytes_in(file.parent)  # nor as a stemmed or shared beginning of a term
    assert len(stores.examples.list()) == (30 if erase is remove_each else 0)
    database.close()


def test_evicted_texts_leave_no_trace_once_it_is_closed(file: Path) -> None:
    database = Database(file)
    stores = Stores(database)
    stores.examples.add("mood", {"text": SECRET}, "good")
    stores.examples.add_many("mood", [({"text": f"{FILLER} {number}"}, "good") for number in range(600)])
    assert stores.examples.similar("mood", {"text": SECRET}, 1)[0].inputs["text"] != SECRET
    database.close()
    assert SECRET.encode() not in bytes_in(file.parent)


def test_a_replaced_answer_leaves_no_trace_once_it_is_closed(file: Path) -> None:
    database = Database(file)
    examples = ExampleStore(database)
    examples.add("mood", {"text": "a"}, SECRET)
    examples.add("mood", {"text": "a"}, "good")
    database.close()
    assert SECRET.encode() not in bytes_in(file.parent)
