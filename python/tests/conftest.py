"""What the tests share: the command under test, and scripted peers for what a real server never does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest

import rollcage
from rollcage._binary import find_binary
from rollcage.errors import BinaryNotFound


@pytest.fixture(scope="session")
def binary() -> Path:
    """The command. Tests that need a server are skipped where there is none, and counted."""
    try:
        found = find_binary()
        with rollcage.Client(binary=str(found)) as client:
            client.health()
        return found
    except (BinaryNotFound, rollcage.ServerStartError) as error:
        pytest.skip(f"no server: {str(error).splitlines()[0]}")


@pytest.fixture(scope="module")
def client(binary: Path) -> Iterator[rollcage.Client]:
    """A client with a server of its own."""
    with rollcage.Client(binary=str(binary)) as made:
        yield made


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests set what they test. Only the command's place comes from outside."""
    for name in ("ROLLCAGE_URL", "ROLLCAGE_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def run_python(source: str, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Runs a script in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", source, *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
