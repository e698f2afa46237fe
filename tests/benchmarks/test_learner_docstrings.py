from benchmarks.learner.docstrings import REPORTED, TUNING, docstring_stream
from edge_autoglm.learn.hashing import hash_name

PACKAGES = ("email", "http")


def test_documents_of_the_same_packages_are_the_same_in_every_run() -> None:
    first, again = (docstring_stream(PACKAGES)(5, 100) for _ in range(2))
    assert first.arms == PACKAGES
    assert all((a.indices == b.indices).all() for a, b in zip(first.features, again.features, strict=True))
    assert 0.1 < first.rewards[:, 0].mean() < 0.9


def test_no_document_names_a_package() -> None:
    named = {hash_name(name.lower()) for name in (*REPORTED, *TUNING, "np", "plt")}
    assert not any(named & set(features.indices.tolist()) for features in docstring_stream(PACKAGES)(5, 1000).features)


def test_no_package_is_reported_and_tuned_on() -> None:
    assert not set(REPORTED) & set(TUNING)
