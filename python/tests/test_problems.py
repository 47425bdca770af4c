"""From what users have to problem rows."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

import rollcage
from rollcage._problems import ProblemError, file_value, limits_value, message_text, problem_row, text_value

ROWS = {"cases": [{"stdin": "1\n", "expected": "2\n"}, {"stdin": "3\n", "expected": "4\n"}]}


@pytest.mark.parametrize(
    "given",
    [
        ROWS,
        ROWS["cases"],
        [("1\n", "2\n"), ["3\n", "4\n"]],
        [rollcage.Case("1\n", "2\n"), rollcage.Case(b"3\n", b"4\n")],
        [{"input": "1\n", "output": "2\n"}, {"input": "3\n", "output": "4\n"}],
        {"inputs": ["1\n", "3\n"], "outputs": ["2\n", "4\n"]},
        {"inputs": ["1\n", "3\n"], "outputs": ["2\n", "4\n"], "fn_name": None, "assert_case": None},
        {"inputs": [["1", ""], ["3", ""]], "outputs": [["2", ""], ["4", ""]]},
        {**ROWS, "checker": None},
    ],
)
def test_cases_in_every_form_are_the_same(given: Any) -> None:
    assert problem_row(given) == ROWS
    try:
        text = json.dumps(given)
    except TypeError:
        return
    assert problem_row(text) == problem_row(text.encode()) == ROWS


@pytest.mark.parametrize(
    "given, message",
    [
        (None, "expected one of `problem` and `cases`"),
        (3, "problem: expected a problem row"),
        ("{", "problem: expected JSON"),
        ([("1",)], r"problem\[0\]: expected a pair"),
        ([{"stdin": "1"}], r"problem\[0\]: has no `expected`"),
        ([(1, "2")], r"problem\[0\].stdin: expected str or bytes, not int"),
        ({"cases": "no"}, "problem.cases: expected a list"),
        ({"inputs": ["1"], "outputs": []}, "1 `inputs` and 0 `outputs`"),
        ({"inputs": ["1"], "outputs": ["1"], "assert_case": ["assert 1"]}, "assert_case"),
        ({"inputs": ["x"], "outputs": ["1"], "fn_name": "f"}, r"inputs\[0\]: expected a JSON value on each line"),
    ],
)
def test_what_is_no_problem_is_named(given: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        problem_row(given)


@pytest.mark.parametrize(
    "solution, passes",
    [
        ("def add(a, b): return a + b", True),
        ("class Solution:\n    def add(self, a, b): return a + b", True),
        ("def add(a, b): return a - b", False),
        ("def other(a, b): return a + b", False),
        ("pass", False),
        ("from operator import add", True),
        # What verl imports before a solution is there.
        ("class Solution:\n    def add(self, a: Any, b: Optional[Any]) -> Any: return reduce(add, [a, b])", True),
        ("def add(a, b): return str(a + b) if a == 1 else a + b", True),
    ],
)
def test_the_check_of_a_named_function_decides(solution: str, passes: bool) -> None:
    truth = {"fn_name": "add", "inputs": ["1\n2", [3, 4], '"a"\n"\'"'], "outputs": ["3", [7], '"a\'"']}
    row = problem_row(truth)
    assert row["language"] == "python"
    # The checked text is ours, and so are these solutions.
    program = f"{row['context']}{solution}\n{row['test_code']}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode == 0) == passes, ended.stderr


@pytest.mark.parametrize(
    "returned, expected, passes",
    [
        ("1", "1", True),
        ("1.0", "1", True),
        ("True", "1", False),
        ("'1'", "1", True),
        ("'a'", "a\n", True),
        ("'a'", '"a"', True),
        ("(1, [2])", "[1, [2]]", True),
        ("[True]", "[1]", False),
        ("10 ** 30", "1" + "0" * 30, True),
        ("10 ** 30 + 1", "1" + "0" * 30, False),
        ("{1}", "{1}", True),
        ("'\u2028\U0001f600'", '"\u2028\U0001f600"', True),
        ("[1, 2]", [[1, 2]], True),
        ("[[1, 2]]", [[1, 2]], True),
        ("[2, 1]", [[1, 2]], False),
    ],
)
def test_results_are_compared_as_values(returned: str, expected: Any, passes: bool) -> None:
    row = problem_row({"fn_name": "f", "inputs": [""], "outputs": [expected]})
    program = f"{row['context']}def f(): return {returned}\n{row['test_code']}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode == 0) == passes, ended.stderr


def test_assertions_become_test_code() -> None:
    row = problem_row(
        {"assert_case": ["assert f(1) == 2", "assert f(2) == 3"], "inputs": ["", ""], "outputs": [None, None]}
    )
    assert (row["language"], row["test_code"]) == ("python", "assert f(1) == 2\nassert f(2) == 3\n")
    assert "from typing import *" in row["context"] == row["prefix"]


def test_limits_have_units_on_the_wire() -> None:
    given = {"cpu_time": 2, "wall_time": timedelta(seconds=1.5), "idle_time": "3s", "memory": 1 << 20, "stack": "8MiB"}
    assert limits_value({**given, "output": None}) == {
        "cpu_time": "2000000us",
        "wall_time": "1500000us",
        "idle_time": "3s",
        "memory": 1 << 20,
        "stack": "8MiB",
    }
    for wrong in ({"cpu": 1}, {"cpu_time": 0}, {"cpu_time": float("nan")}, {"cpu_time": True}):
        with pytest.raises(ProblemError):
            limits_value(wrong)


def test_bytes_that_json_cannot_carry() -> None:
    assert text_value("ok \U0001f600") == "ok \U0001f600"
    assert text_value("a\ud83dz") == "a\ufffdz"
    assert text_value("\ud83d\ude00") == "\U0001f600"
    assert file_value(b"\xff", "f") == {"base64": "/w=="}
    assert file_value(rollcage.File("x", executable=True), "f") == {"text": "x", "executable": True}


def test_the_text_of_a_completion() -> None:
    assert message_text("plain") == "plain"
    chat = [
        {"role": "assistant", "content": "first"},
        {"role": "tool", "content": "seen"},
        {"role": "assistant", "content": [{"type": "text", "text": "la"}, {"type": "text", "text": "st"}]},
    ]
    assert message_text(chat) == "last"
    assert message_text(chat[:2]) == "first"
    assert message_text([{"role": "assistant", "content": None}]) == ""
    for wrong in (7, ["text"]):
        with pytest.raises(rollcage.ConfigurationError):
            message_text(wrong)
