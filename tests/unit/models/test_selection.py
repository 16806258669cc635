"""Which models are asked for, by role and media."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from models.exceptions import ManifestError
from models.fingerprint import model_set_fingerprint
from models.manifest import Manifest, Role
from models.selection import Choice, Selection
from tests.support.tiny_models import entry_fields, fleet_faces

IDS = [str(UUID(int=number)) for number in range(4000)]


@pytest.fixture
def manifest() -> Manifest:
    def fields(name: str, role: str) -> dict[str, Any]:
        return entry_fields(path=f"{name}.onnx", sha256="0" * 64, name=name, role=role)

    entries = [
        fleet_faces(),
        fields("first", "primary"),
        fields("second", "primary"),
        fields("third", "primary"),
        fields("near", "liveness"),
        fields("far", "liveness"),
    ]
    return Manifest.of({"entries": entries}, Path("manifest.yaml"))


@pytest.fixture
def preferred(manifest: Manifest) -> Selection:
    return Selection.preferred(manifest, ("screen", "primary", "liveness"))


def names(selection: Selection, media_id: str = "any") -> list[str]:
    return [entry.name for entry in selection.entries(media_id)]


def test_the_manifest_prefers_the_first_of_a_role_and_all_of_liveness(preferred: Selection) -> None:
    assert names(preferred) == ["centerface", "first", "near", "far"]


def test_a_role_may_be_given_to_another(preferred: Selection) -> None:
    switched = preferred.switched(Role.PRIMARY, Choice(("second",)))
    assert names(switched) == ["centerface", "second", "near", "far"]
    assert names(preferred) == ["centerface", "first", "near", "far"]
    assert names(preferred.switched(Role.LIVENESS, Choice(("far",)))) == ["centerface", "first", "far"]


def test_a_canary_judges_about_its_share(preferred: Selection) -> None:
    canary = preferred.switched(Role.PRIMARY, Choice(("first",), ("second",), 0.1))
    hit = [media_id for media_id in IDS if "second" in names(canary, media_id)]
    assert len(hit) == pytest.approx(0.1 * len(IDS), rel=0.2)
    assert set(canary.names) == {"centerface", "first", "second", "near", "far"}


def test_a_replay_chooses_the_same_and_a_larger_share_keeps_what_it_had(preferred: Selection) -> None:
    def hit(share: float, name: str = "second") -> set[str]:
        canary = preferred.switched(Role.PRIMARY, Choice(("first",), (name,), share))
        return {media_id for media_id in IDS if name in names(canary, media_id)}

    assert hit(0.1) == hit(0.1)
    assert hit(0.1) < hit(0.4)
    assert (hit(0.0), len(hit(1.0))) == (set(), len(IDS))
    other = hit(0.1, "third")
    assert len(other & hit(0.1)) < len(other) / 2, "another canary is not tried on the same media"


def test_the_fingerprint_is_that_of_the_models_that_judge(preferred: Selection, manifest: Manifest) -> None:
    canary = preferred.switched(Role.PRIMARY, Choice(("first",), ("second",), 0.5))
    for media_id in IDS[:20]:
        assert canary.fingerprint(media_id) == model_set_fingerprint(map(manifest.entry, names(canary, media_id)))
    assert len({canary.fingerprint(media_id) for media_id in IDS}) == 2


@pytest.mark.parametrize(
    ("role", "choice", "said"),
    [
        (Role.PRIMARY, Choice(("gone",)), r"gone: name: no such entry"),
        (Role.PRIMARY, Choice(("near",)), r"near: role: serves liveness, not primary"),
        (Role.PRIMARY, Choice(("first",), ("far",), 0.1), r"far: role: serves liveness"),
        (Role.PRIMARY, Choice(("first", "second")), r"one entry serves primary"),
        (Role.PRIMARY, Choice(()), r"no entry serves primary"),
    ],
)
def test_what_cannot_serve_is_refused(preferred: Selection, role: Role, choice: Choice, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        preferred.switched(role, choice)


def test_there_must_be_a_face_detector() -> None:
    lonely = Manifest.of({"entries": [entry_fields(path="a.onnx", sha256="0" * 64)]}, Path("manifest.yaml"))
    with pytest.raises(ManifestError, match="one face detector is needed"):
        Selection.preferred(lonely, ("primary",))
