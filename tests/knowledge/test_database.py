"""The file: private, checked when it is opened, whole after whatever happens."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_autoglm.errors import MissingDependency, StateDamaged, StateError, StateNotWritable
from edge_autoglm.knowledge.conversations import ConversationState, ConversationStore, Turn
from edge_autoglm.knowledge.database import Database, check_fts5
from edge_autoglm.knowledge.documents import DocumentStore
from edge_autoglm.knowledge.examples import ExampleStore
from edge_autoglm.knowledge.facts import FactStore


def filled(file: Path) -> None:
    database = Database(file)
    ExampleStore(database).add_many("mood", [({"text": f"example number {n}"}, "good") for n in range(200)])
    database.close()


def test_only_the_owner_may_read_it(database: Database, file: Path) -> None:
    ExampleStore(database).add("mood", {"text": "a"}, "good")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert file.name in modes


def test_what_was_added_is_there_after_opening_again(file: Path) -> None:
    filled(file)
    database = Database(file)
    assert ExampleStore(database).count() == 200
    database.close()
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_a_file_of_something_else_is_named(file: Path, size: int) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a database " * size)
    with pytest.raises(StateDamaged, match=r"knowledge\.sqlite3 is damaged.*delete it"):
        Database(file)


def test_another_programs_database_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(StateDamaged, match="a database of something else"):
        Database(file)
    assert file.read_bytes()[100:] == before[100:]


def test_damage_in_the_middle_is_found_when_it_is_opened(file: Path) -> None:
    filled(file)
    content = bytearray(file.read_bytes())
    for page in range(2, len(content) // 4096):
        content[4096 * page : 4096 * page + 200] = b"\xff" * 200
    file.write_bytes(content)
    with pytest.raises(StateDamaged, match="is damaged"):
        Database(file)


def test_a_newer_version_is_not_touched(file: Path) -> None:
    Database(file).close()
    newer = sqlite3.connect(file)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StateError, match=r"schema version 99.*Update edge-autoglm"):
        Database(file)


def test_two_runtimes_do_not_share_it(database: Database, file: Path) -> None:
    ExampleStore(database).add("mood", {"text": "a"}, "good")
    code = (
        "import sys; from pathlib import Path\n"
        "from edge_autoglm.errors import StateLocked\n"
        "from edge_autoglm.knowledge.database import Database\n"
        "import sqlite3\n"
        "connect = sqlite3.connect\n"
        "sqlite3.connect = lambda *a, **k: connect(*a, **{**k, 'timeout': 0.1})\n"
        "try:\n    Database(Path(sys.argv[1]))\n"
        "except StateLocked:\n    print('locked')\n"
    )
    child = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert child.stdout == "locked\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateNotWritable, match="cannot be opened"):
        Database(tmp_path / "file" / "knowledge.sqlite3")


def test_a_closed_one_says_so(file: Path) -> None:
    database = Database(file)
    store = FactStore(database)
    database.close()
    database.close()
    with pytest.raises(StateError, match="closed"):
        store.add("a")


def test_sqlite_without_full_text_search_is_an_error_with_a_cure() -> None:
    class Lacking(sqlite3.Connection):
        def execute(self, *args: object) -> sqlite3.Cursor:
            raise sqlite3.OperationalError("no such module: fts5")

    connection = sqlite3.connect(":memory:", factory=Lacking)
    with pytest.raises(MissingDependency, match=r"SQLite with FTS5.*Use a Python from"):
        check_fts5(connection)
    connection.close()


def test_a_block_that_fails_changes_nothing(database: Database) -> None:
    examples = ExampleStore(database)
    examples.add("mood", {"text": "kept"}, "good")

    def failing() -> None:
        with database.writing() as connection:
            connection.execute("DELETE FROM examples")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert examples.count() == 1


def test_threads_take_turns(database: Database) -> None:
    examples, facts = ExampleStore(database), FactStore(database)
    conversations = ConversationStore(database)
    documents = DocumentStore(database)
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(25):
                examples.add("mood", {"text": f"word{name} {number}"}, "good")
                facts.add(f"fact {name} {number}")
                documents.add(f"document {name} {number}")
                held = conversations.load(f"c{name}") or ConversationState(f"c{name}")
                conversations.save(held, [Turn("a", "b")])
                assert examples.similar("mood", {"text": f"word{name}"}, 1)
                assert facts.search("fact", 2)
                assert documents.search("document", 2)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (examples.count(), len(facts.list()), documents.count()) == (150, 150, 150)
    assert all(len(state.turns) == 25 for name in range(6) if (state := conversations.load(f"c{name}")))


def test_a_full_disk_refuses_and_loses_nothing(database: Database) -> None:
    documents = DocumentStore(database)
    kept = documents.add("The museum opens at nine.")
    with database.reading() as connection:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")  # SQLite then answers as on a full disk
    with pytest.raises(StateNotWritable, match=r"disk is full.*Free some disk space"):
        documents.add("word " * 20_000)
    assert documents.list() == (kept,)
    assert documents.search("museum")[0].document == kept.id
    assert documents.remove(kept.id) == 1
