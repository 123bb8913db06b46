"""Links carry a tab and settings, and nothing that is neither."""

from __future__ import annotations

import pytest

from pneumocascade.web.links import Linked, linked


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Linked()),
        ("?tab=batch&point=sensitive&prior=20", Linked("batch", "sensitive", 20)),
        ("?tab=about&theme=dark", Linked("about")),
        ("?tab=films&point=careful&prior=0", Linked()),
        ("?prior=100&prior=99", Linked(prior=99)),
        ("?prior=-5&point=", Linked()),
        ("?prior=%C2%B2", Linked()),
        ("?tab=" + "a" * 10_000 + "&prior=20", Linked()),
    ],
)
def test_what_a_link_asks_for(query: str, expected: Linked) -> None:
    assert linked(query) == expected
