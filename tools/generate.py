"""Write everything that follows from the contracts, the catalogue and the settings.

python -m tools.generate            writes the files
python -m tools.generate --check    names the files that differ, and then exits with 1
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas import export
from tools import configuration_page, messages_page
from topics import asyncapi

ROOT = Path(__file__).parents[1]


def artefacts() -> Mapping[Path, bytes]:
    """Return the content of every generated file, by its path in the repository."""
    generated = Path("schemas", "generated")
    return {
        **{generated / name: content for name, content in export.documents().items()},
        generated / asyncapi.FILE_NAME: asyncapi.encoded(),
        Path("docs", "messages.md"): messages_page.page().encode(),
        Path("docs", "configuration.md"): configuration_page.page().encode(),
    }


def differing(root: Path) -> list[Path]:
    """Return the generated files that are missing below `root` or have another content, by path."""
    return [
        path
        for path, content in sorted(artefacts().items())
        if not (root / path).is_file() or (root / path).read_bytes() != content
    ]


def write(root: Path) -> list[Path]:
    """Write the files that differ, and return their paths."""
    changed = differing(root)
    contents = artefacts()
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(contents[path])
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file differs")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository; by default this one")
    options = parser.parse_args(arguments)
    if not options.check:
        for path in write(options.root):
            print(f"written: {path}")
        return 0
    stale = differing(options.root)
    for path in stale:
        print(f"{path} differs; run `python -m tools.generate` (make generate)", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
