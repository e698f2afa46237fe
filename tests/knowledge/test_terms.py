"""Terms and queries: every script is found, and nothing that a user types is FTS5 syntax."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.knowledge.terms import MAX_QUERY_TERMS, match_query, terms_of

SCRIPTS = {
    "english": ("The ferry to the island is cancelled on Monday", "ferries cancelled?"),
    "german": ("Die Fähre zur Insel fährt am Montag nicht", "FÄHRE"),
    "russian": ("Паром на остров в понедельник не ходит", "паром"),
    "greek": ("Το πλοίο για το νησί δεν θα ταξιδέψει", "πλοίο"),
    "chinese": ("周一开往小岛的渡轮停航", "渡轮什么时候开"),
    "japanese": ("月曜日の島行きフェリーは欠航です", "フェリー"),
    "korean": ("월요일 섬으로 가는 여객선은 결항입니다", "여객선은"),
    "thai": ("เรือข้ามฟากไปเกาะวันจันทร์งดให้บริการ", "เรือข้ามฟาก"),
    "arabic": ("العبارة إلى الجزيرة ملغاة يوم الاثنين", "الجزيرة"),
    "hebrew": ("המעבורת לאי לא תפליג ביום שני", "המעבורת"),
    "hindi": ("सोमवार को द्वीप की नौका नहीं चलेगी", "नौका"),
    "georgian": ("ორშაბათს ბორანი კუნძულზე არ გავა", "ბორანი"),
}
HOSTILE = (
    '"', '""', "*", "a*", "AND", "a AND b", "NOT", "NEAR(a b, 2)", "col:a", "{a b}:c", "^a", "a + b", "(", ")",
    "'; DROP", "-", "\0", "a\0b", "\ud800", "%", "_", "?1", ":x", "\\", "\u202e", "\x1b[31m", "🙂",
    "a" * 100_000, "x " * 500_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def index() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE found USING fts5(terms, tokenize = 'porter ascii')")
    for number, (text, _) in enumerate(SCRIPTS.values(), start=1):
        connection.execute("INSERT INTO found (rowid, terms) VALUES (?, ?)", (number, terms_of(text)))
    return connection


def found(index: sqlite3.Connection, query: str) -> list[int]:
    matching = match_query(query)
    if matching is None:
        return []
    return [row for (row,) in index.execute("SELECT rowid FROM found WHERE found MATCH ? ORDER BY rank", (matching,))]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_text_is_found_by_a_word_of_it_in_every_script(index: sqlite3.Connection, script: str) -> None:
    assert found(index, SCRIPTS[script][1]) == [list(SCRIPTS).index(script) + 1]


@pytest.mark.parametrize("query", ["渡", "航", "渡轮", "小岛的渡轮"])
def test_chinese_is_found_by_a_character_and_by_a_run(index: sqlite3.Connection, query: str) -> None:
    assert found(index, query)[0] == list(SCRIPTS).index("chinese") + 1


def test_full_width_and_half_width_are_one() -> None:
    assert terms_of("ＡＢＣ１２") == terms_of("abc12") == "abc12"


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_queries_are_harmless(index: sqlite3.Connection, query: str) -> None:
    assert all(isinstance(row, int) for row in found(index, query))


def test_operators_are_words(index: sqlite3.Connection) -> None:
    assert match_query("NOT a* OR (b)") == '"not" OR "a" OR "or" OR "b"'
    assert found(index, "zzz AND ferry") == [1]


def test_a_query_has_a_bounded_number_of_terms() -> None:
    assert (match_query(" ".join(map(str, range(1000)))) or "").count('"') == 2 * MAX_QUERY_TERMS


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_found_by_itself_or_has_no_terms(text: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE found USING fts5(terms, tokenize = 'porter ascii')")
    connection.execute("INSERT INTO found (rowid, terms) VALUES (1, ?)", (terms_of(text),))
    assert found(connection, text) == ([1] if terms_of(text) else [])
    connection.close()
