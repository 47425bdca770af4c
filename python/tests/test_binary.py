"""Where the command is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

import rollcage
from rollcage import _binary


def test_a_named_command_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROLLCAGE_BINARY", str(tmp_path / "none"))
    with pytest.raises(rollcage.BinaryNotFound, match="ROLLCAGE_BINARY names .*none"):
        _binary.find_binary()
    with pytest.raises(rollcage.BinaryNotFound, match="binary= names"):
        _binary.find_binary(str(tmp_path))
    command = tmp_path / "rollcage"
    command.write_text("")
    command.chmod(0o755)
    assert _binary.find_binary(str(command)) == command


@pytest.mark.parametrize(
    "place, hint",
    [
        (("Linux", "aarch64"), "this is Linux on aarch64, .*ROLLCAGE_URL"),
        (("Darwin", "arm64"), "this is Darwin on arm64, .*ROLLCAGE_URL"),
        (("Linux", "x86_64"), "install the wheel with pip"),
    ],
)
def test_a_missing_command_names_the_architecture_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: "tuple[str, str]", hint: str
) -> None:
    monkeypatch.delenv("ROLLCAGE_BINARY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_binary, "_places", lambda: iter([tmp_path / "rollcage"]))
    monkeypatch.setattr(_binary, "_platform", lambda: place)
    with pytest.raises(rollcage.BinaryNotFound, match=hint):
        _binary.find_binary()


def test_a_command_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ROLLCAGE_BINARY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_binary, "_places", lambda: iter([]))
    command = tmp_path / "rollcage"
    command.write_text("")
    command.chmod(0o755)
    assert _binary.find_binary() == command


def test_what_cannot_serve_says_what_it_said(tmp_path: Path) -> None:
    command = tmp_path / "rollcage"
    command.write_text("#!/bin/sh\necho 'no cages here' >&2\nexit 3\n")
    command.chmod(0o755)
    with rollcage.Client(binary=str(command)) as client:
        with pytest.raises(rollcage.ServerStartError, match="(?s)ended with status 3.*no cages here"):
            client.health()
    command.write_text("#!/bin/sh\necho nonsense\nexec cat\n")
    with rollcage.Client(binary=str(command)) as client:
        with pytest.raises(rollcage.ServerStartError, match="did not say where it listens"):
            client.health()


def test_settings_come_before_use(tmp_path: Path) -> None:
    try:
        rollcage.configure(binary=str(tmp_path / "none"), isolation="process")
        with pytest.raises(rollcage.BinaryNotFound):
            rollcage.run("")
        with pytest.raises(rollcage.ConfigurationError, match="in use already"):
            rollcage.configure(isolation="full")
        rollcage.configure(binary=str(tmp_path / "none"), isolation="process")
    finally:
        rollcage.shutdown()
        rollcage.configure()
