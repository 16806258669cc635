from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from agents.blocking.exceptions import QuestionMalformed
from agents.blocking.names import publish_name

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N"], include_characters="-_."), min_size=1, max_size=20)


@pytest.mark.parametrize(
    "written",
    [
        ("live", "bob"),
        ("live/bob",),
        ("/live//bob/",),
        ("LIVE", "Bob"),
        ("live", "bob?key=secret"),
        ("live?x=1", "bob"),
        ("live", "%62ob"),
        ("live", "%2562ob"),
        ("live%2Fbob",),
        ("live\\bob",),
        ("live", "./bob"),
        ("live", " bob "),
        ("live", "bob%3Fkey=1"),
        ("live", "\uff42ob"),  # full-width b
    ],
)
def test_one_stream_has_one_name_however_it_is_written(written: tuple[str, ...]) -> None:
    assert publish_name(*written) == "live/bob"


@pytest.mark.parametrize("written", ["", "/", "?key=1", "live/\x00bob", "x" * 600, "live/bo\nb"])
def test_what_is_no_name_is_refused(written: str) -> None:
    with pytest.raises(QuestionMalformed):
        publish_name(written)


@given(app=NAMES, name=NAMES, key=NAMES, encoded=st.integers(0, 3))
def test_no_way_of_writing_leads_to_another_name(app: str, name: str, key: str, encoded: int) -> None:
    try:
        plain = publish_name(app, name)
    except QuestionMalformed:
        return
    tricked = name
    for _ in range(encoded):
        tricked = quote(tricked, safe="")
    for way in (f"{app}//{tricked}", f"/{app.casefold()}/{tricked}/", f"{app}/{tricked}?{key}"):
        assert publish_name(way) == plain
    assert publish_name(plain) == plain
