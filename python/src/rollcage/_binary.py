"""Finding the `rollcage` command that came with the package."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Iterator, Optional, Tuple

from .errors import BinaryNotFound

NAME = "rollcage"


def find_binary(named: Optional[str] = None) -> Path:
    """The command: the one named, else `ROLLCAGE_BINARY`, else where pip puts scripts, else on `PATH`."""
    chosen, source = (named, "binary=") if named else (os.environ.get("ROLLCAGE_BINARY"), "ROLLCAGE_BINARY")
    if chosen:
        path = Path(chosen)
        if not _is_executable(path):
            raise BinaryNotFound(f"{source} names {path}, which is not an executable file")
        return path
    looked = []
    for path in _places():
        if _is_executable(path):
            return path
        looked.append(str(path))
    on_path = shutil.which(NAME)
    if on_path is not None:
        return Path(on_path)
    raise BinaryNotFound(_explanation(looked))


def _places() -> Iterator[Path]:
    for scheme_path in (sysconfig.get_path("scripts"), _user_scripts(), str(Path(sys.executable).parent)):
        if scheme_path:
            yield Path(scheme_path) / NAME


def _user_scripts() -> Optional[str]:
    try:
        return sysconfig.get_path("scripts", f"{os.name}_user")
    except KeyError:
        return None


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _explanation(looked: "list[str]") -> str:
    system, machine = _platform()
    where = f"the `{NAME}` command was not found: looked at {', '.join(looked)} and along PATH"
    if (system, machine) != ("Linux", "x86_64"):
        return (
            f"{where}\nhint: this is {system} on {machine}, and Rollcage runs on Linux on x86_64 only; "
            "start `rollcage serve` on such a host and set ROLLCAGE_URL=http://HOST:PORT here"
        )
    return (
        f"{where}\nhint: this is Linux on x86_64, for which the wheel carries it: install the wheel with pip, "
        "or set ROLLCAGE_BINARY to the command, or ROLLCAGE_URL to a server that runs already"
    )


def _platform() -> Tuple[str, str]:
    return platform.system(), platform.machine()
