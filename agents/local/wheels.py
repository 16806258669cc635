"""Where the programs lie that wheels bring along."""

import importlib.util
import os
import shutil
from pathlib import Path

from agents.local.exceptions import MissingProgramError


def wheel_folder(package: str) -> Path:
    """Return the installed folder of `package`, without importing it.

    Raises:
        MissingProgramError: The package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingProgramError(
            f"the package {package} is not installed: install the extra `local` "
            "(pip install 'deepfake-fleet[local]'), or give the URL of a server that runs already"
        )
    return Path(spec.submodule_search_locations[0])


def executable(program: Path, folder: Path) -> Path:
    """Return `program` itself when it may be executed where it lies, else an executable copy in `folder`.

    Raises:
        MissingProgramError: There is no such program; the wheel is for another kind of machine.
    """
    if not program.is_file():
        raise MissingProgramError(f"{program} is missing: its wheel has no program for this kind of machine")
    if os.access(program, os.X_OK):
        return program
    copy = folder / program.name
    shutil.copyfile(program, copy)
    copy.chmod(0o755)
    return copy
