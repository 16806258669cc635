"""The manifest as text: one entry put in or replaced, all else, comments too, left as it is."""

import re
from pathlib import Path
from typing import Any

import yaml

from models.exceptions import ManifestError
from models.manifest import Entry

_START = re.compile(r"^  - name: (\S+)$", re.MULTILINE)
_FIELD = r"^    {}:.*\n(?:      .*\n)*"
"""A field of an entry, with the lines that go with it."""


def with_entry(text: str, entry: Entry, folder: Path) -> str:
    """Return a manifest's text with an entry: in the place of its namesake, or at the end.

    Args:
        text: YAML, entries indented by two spaces, each beginning with its name; an entry's comments go with it.
        entry: what is written; fields that are at their defaults are left out.
        folder: of the manifest, which paths are relative to.
    """
    block = _block(entry, folder)
    starts = list(_START.finditer(text))
    for place, start in enumerate(starts):
        if start[1] == entry.name:
            end = starts[place + 1].start() if place + 1 < len(starts) else len(text)
            tail = "\n" if place + 1 < len(starts) else ""
            return text[: start.start()] + block + tail + text[end:]
    return text.rstrip("\n") + "\n\n" + block


def with_golden(text: str, entry: Entry, folder: Path) -> str:
    """Return a manifest's text with an entry's golden vector in it; all else of the entry stays as it is written.

    Raises:
        ManifestError: the text has no such entry, or the entry has no golden vector.
    """
    if entry.golden is None:
        raise ManifestError(entry.name, "golden", "there is none to be written")
    path = entry.golden.path.relative_to(folder).as_posix()
    golden = f"{{path: {path}, sha256: {entry.golden.sha256}, tolerance: {entry.golden.tolerance:g}}}"
    return _with_field(text, entry.name, "golden", golden)


def with_needs(text: str, entry: Entry) -> str:
    """Return a manifest's text with what an entry needs in it; all else of the entry stays as it is written.

    Raises:
        ManifestError: the text has no such entry.
    """
    needs = ", ".join(f"{provider}: {mebibytes:g}" for provider, mebibytes in entry.needs.items())
    return _with_field(text, entry.name, "needs", f"{{{needs}}}")


def _with_field(text: str, name: str, field: str, value: str) -> str:
    """The text with a field at the end of an entry, instead of what it had of it."""
    old = re.compile(_FIELD.format(re.escape(field)), re.MULTILINE)
    starts = list(_START.finditer(text))
    for place, start in enumerate(starts):
        if start[1] == name:
            end = starts[place + 1].start() if place + 1 < len(starts) else len(text)
            block = old.sub("", text[start.start() : end])
            gap = "\n" if place + 1 < len(starts) else ""
            return text[: start.start()] + block.rstrip("\n") + f"\n    {field}: {value}\n" + gap + text[end:]
    raise ManifestError(name, "name", "is not in the manifest")


def _block(entry: Entry, folder: Path) -> str:
    fields: dict[str, Any] = entry.model_dump(mode="json", exclude_defaults=True)
    fields["source"] = entry.source.model_dump(mode="json", exclude_defaults=True) | {"kind": entry.source.kind}
    for part in (fields["source"], fields.get("head", {}), fields.get("golden", {})):
        if "path" in part:
            part["path"] = Path(part["path"]).relative_to(folder).as_posix()
    written = yaml.safe_dump([fields], sort_keys=False, width=110, default_flow_style=None)
    return "".join(f"  {line}\n" for line in written.splitlines())
