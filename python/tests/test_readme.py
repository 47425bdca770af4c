"""The README's snippet, in the interpreter that `ROLLCAGE_CLEAN_PYTHON` names: it has the wheel and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OUTPUT = """42
 0
accepted 1.0
accepted 1.0 None
compile_error 0.0 no code block was found
"""


def test_the_readme_works_in_an_empty_environment(binary: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    snippet = readme.split("```python\n", 1)[1].split("\n```\n", 1)[0]
    interpreter = os.environ.get("ROLLCAGE_CLEAN_PYTHON", sys.executable)
    ended = subprocess.run([interpreter, "-c", snippet], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == OUTPUT


def test_the_module_is_the_command(binary: Path) -> None:
    ended = subprocess.run([sys.executable, "-m", "rollcage", "--version"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0 and ended.stdout.startswith("rollcage "), ended
