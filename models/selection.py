"""Which models are asked for, by role and by the media that they judge. Pure: planners and workers agree on it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Self

from models.exceptions import ManifestError
from models.fingerprint import model_set_fingerprint
from models.manifest import Entry, Manifest, Role


@dataclass(frozen=True, slots=True)
class Choice:
    """What serves one role.

    Attributes:
        models: entries, one unless the role is `liveness`.
        canary: entries that judge a share of the media in their place.
        share: of the media, 0 to 1; which ones is decided by their ids.
    """

    models: tuple[str, ...]
    canary: tuple[str, ...] = ()
    share: float = 0.0

    def of(self, media_id: str) -> tuple[str, ...]:
        """The entries that judge one media. The same id always gets the same; a larger share keeps a smaller one's."""
        return self.canary if self.canary and _place(self.canary, media_id) < self.share else self.models

    @property
    def all(self) -> tuple[str, ...]:
        """The entries that judge any media."""
        return (*self.models, *(name for name in self.canary if name not in self.models))


@dataclass(frozen=True, slots=True)
class Selection:
    """What serves every role.

    Attributes:
        manifest: where the entries are.
        choices: by role.
    """

    manifest: Manifest
    choices: Mapping[Role, Choice] = field(default_factory=dict)

    @classmethod
    def preferred(cls, manifest: Manifest, roles: Iterable[Role | str]) -> Self:
        """What the manifest itself prefers for these roles, and its face detector.

        Raises:
            ManifestError: it has no face detector.
        """
        if not manifest.by_role(Role.FACES):
            raise ManifestError("manifest", "role", "one face detector is needed, there is no entry")
        choices = {}
        for role in dict.fromkeys((Role.FACES, *map(Role, roles))):
            names = tuple(entry.name for entry in manifest.chosen([role]))
            if names:
                choices[role] = Choice(names)
        return cls(manifest, MappingProxyType(choices))

    def switched(self, role: Role, choice: Choice) -> Self:
        """The selection with another choice for a role.

        Raises:
            ManifestError: an entry is not in the manifest, has another role, or there are several for one place.
        """
        if not choice.models:
            raise ManifestError("manifest", "role", f"no entry serves {role}")
        for name in choice.all:
            entry = self.manifest.entry(name)
            if entry.role is not role:
                raise ManifestError(name, "role", f"serves {entry.role}, not {role}")
        if role is not Role.LIVENESS and max(len(choice.models), len(choice.canary)) > 1:
            raise ManifestError(choice.models[0], "role", f"one entry serves {role}, not {' and '.join(choice.models)}")
        return replace(self, choices=MappingProxyType({**self.choices, role: choice}))

    def entries(self, media_id: str) -> tuple[Entry, ...]:
        """The entries that judge one media, the face detector first."""
        return tuple(self.manifest.entry(name) for choice in self.choices.values() for name in choice.of(media_id))

    @property
    def names(self) -> tuple[str, ...]:
        """The entries that judge any media, the face detector first."""
        return tuple(name for choice in self.choices.values() for name in choice.all)

    def fingerprint(self, media_id: str) -> str:
        """Fingerprint of the models that judge one media, see `model_set_fingerprint`."""
        fusion = self.manifest.fusion
        return model_set_fingerprint(self.entries(media_id), None if fusion is None else fusion.sha256)


def _place(names: Iterable[str], media_id: str) -> float:
    """Where in [0, 1) an id lies for a canary: others lie elsewhere for another one."""
    digest = hashlib.sha256("\n".join([*names, media_id]).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
