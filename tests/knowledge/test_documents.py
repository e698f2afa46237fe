"""Documents: split, found by passage, kept once, evicted whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm.errors import InputRejected
from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.documents import DocumentStore

FERRY = "The ferry to the island will not run on Monday. Strong winds are expected from the north. " * 12
CHINESE = "周一开往小岛的渡轮停航。预计有强北风。船票一周内有效。"


@pytest.fixture
def store(database: Database) -> DocumentStore:
    documents = DocumentStore(database, passage_chars=200)
    documents.add(FERRY + "Tickets stay valid for a week.", title="Harbour office")
    documents.add("The museum has bought a small telescope. It was found in an attic.", title="Museum")
    documents.add(CHINESE, title="渡轮")
    return documents


def test_the_passage_that_matches_is_found(store: DocumentStore) -> None:
    [best] = store.search("how long are tickets valid?", 1)
    assert best.title == "Harbour office"
    assert "Tickets stay valid" in best.text
    assert best.text == store.passages(best.document)[best.position]
    assert store.search("telescope")[0].title == "Museum"
    assert store.search("船票多久有效")[0].text == CHINESE
    assert store.search("zebra") == ()


def test_the_title_counts(store: DocumentStore) -> None:
    assert {found.title for found in store.search("harbour office", 3)} == {"Harbour office"}


def test_the_same_document_is_kept_once(store: DocumentStore) -> None:
    again = store.add("The museum has bought a small telescope. It was found in an attic.", title="Museum")
    assert (again.id, store.count()) == (2, 3)
    assert store.add("The museum has bought a small telescope. It was found in an attic.", title="Other").id == 4


def test_a_file_is_read_as_utf_8(store: DocumentStore, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes("\ufeffThe café opens at nine.".encode())
    document = store.add(tmp_path / "notes.txt")
    assert (document.title, document.source) == ("notes.txt", str(tmp_path / "notes.txt"))
    assert store.passages(document.id) == ("The café opens at nine.",)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputRejected, match=r"photo\.jpg is not UTF-8 at byte 0.*Convert it"):
        store.add(tmp_path / "photo.jpg")
    with pytest.raises(InputRejected, match=r"none\.txt cannot be read: No such file"):
        store.add(tmp_path / "none.txt")


def test_removal_takes_the_passages_along(store: DocumentStore) -> None:
    assert store.remove(2) == 1
    assert store.search("telescope") == ()
    assert [document.title for document in store.list()] == ["Harbour office", "渡轮"]
    assert (store.erase(), store.count(), store.nbytes, store.search("ferry")) == (2, 0, 0, ())


def test_the_oldest_documents_make_room(database: Database) -> None:
    store = DocumentStore(database, budget_bytes=3000)
    for number in range(10):
        store.add(f"Report {number}. " + "word " * 150, title=f"report {number}")
    assert store.nbytes <= 3000
    assert [document.title for document in store.list()] == ["report 7", "report 8", "report 9"]
    assert {found.title for found in store.search("report", 20)} == {"report 7", "report 8", "report 9"}
    with pytest.raises(InputRejected, match="the store holds 3000"):
        store.add("x" * 3001)
