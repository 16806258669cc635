"""What is said of a reference never says its secrets."""

import pytest

from agents.media.exceptions import MediaError
from agents.media.uris import redacted, scheme_of


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:pw@host:8443/a/b.mp4?X-Amz-Signature=s#f", "https://host:8443/a/b.mp4"),
        ("s3://key:secret@bucket/k?versionId=1", "s3://bucket/k"),
        ("file:///data/a.mp4", "file:///data/a.mp4"),
        ("https://a@b@host/x", "https://host/x"),
        ("no scheme?secret", "no scheme"),
        ("http://[broken/x?secret", "(an unreadable URL)"),
    ],
)
def test_user_information_query_and_fragment_are_left_out(uri: str, shown: str) -> None:
    assert redacted(uri) == shown


@pytest.mark.parametrize("uri", ["", "x", "://x", "1http://x", "a::b://c", "simplecache::https://x/y", "//host/x"])
def test_a_reference_has_exactly_one_scheme(uri: str) -> None:
    with pytest.raises(MediaError) as caught:
        scheme_of(uri)
    assert caught.value.kind == "forbidden"


def test_schemes_are_compared_in_lower_case() -> None:
    assert scheme_of("HTTPS://host/x") == "https"
