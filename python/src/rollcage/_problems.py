"""From what users and data sets have to a problem row, and from Python values to the wire's.

A problem row is passed on as it is; lists of cases and verl's ground truths are turned into one. What cannot be
judged is a `ProblemError` that names the field, here or, for what a row says, from the server.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

from ._calls import calls_row, python_row
from .errors import ConfigurationError, RollcageError

#: Text, or bytes that need not be UTF-8.
Bytes = Union[str, bytes]
#: Seconds, a `timedelta`, or text with a unit such as `"500ms"`.
Duration = Union[int, float, timedelta, str]
#: Bytes, or text with a unit such as `"64MiB"`.
Size = Union[int, str]

_TIMES = frozenset({"cpu_time", "wall_time", "idle_time"})
_SIZES = frozenset({"memory", "output", "file_size", "disk", "stack"})
_COUNTS = frozenset({"processes", "open_files"})


class ProblemError(RollcageError, ValueError):
    """What was given as a problem is none."""


class Case(NamedTuple):
    """An input, and the output expected for it."""

    stdin: Bytes
    expected: Bytes


class File(NamedTuple):
    """A file placed beside a program."""

    content: Bytes
    executable: bool = False


#: Pairs of input and expected output, or mappings with `stdin` (or `input`) and `expected` (or `output`).
Cases = Sequence[Union[Case, "tuple[Bytes, Bytes]", Mapping[str, Any]]]


def text_value(text: str) -> str:
    """The text with what JSON cannot carry replaced: a lone surrogate, half of a character."""
    try:
        text.encode("utf-8")
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def bytes_value(value: object, field: str) -> Any:
    """Text as it is, bytes as text where they are UTF-8 and as base64 where not; the wire's own form is passed on."""
    if isinstance(value, str):
        return text_value(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(data).decode("ascii")}
    if isinstance(value, Mapping):
        return dict(value)
    raise ProblemError(f"{field}: expected str or bytes, not {type(value).__name__}")


def file_value(value: object, field: str) -> Any:
    """A file as the wire has it."""
    if isinstance(value, File):
        content = bytes_value(value.content, field)
        content = content if isinstance(content, dict) else {"text": content}
        return {**content, "executable": value.executable}
    return bytes_value(value, field)


def limits_value(limits: Mapping[str, Any]) -> Dict[str, Any]:
    """Limits as the wire has them. Numbers are seconds and bytes."""
    known = _TIMES | _SIZES | _COUNTS
    encoded: Dict[str, Any] = {}
    for name, value in limits.items():
        if name not in known:
            raise ProblemError(f"limits.{name}: no such limit; there are {', '.join(sorted(known))}")
        if value is None:
            continue
        encoded[name] = _duration_value(value, name) if name in _TIMES else value
    return encoded


def _duration_value(value: Duration, name: str) -> str:
    if isinstance(value, str):
        return value
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        raise ProblemError(f"limits.{name}: expected seconds above 0 or text such as '500ms', not {value!r}")
    return f"{max(1, round(seconds * 1_000_000))}us"


def problem_row(
    problem: object = None,
    cases: Optional[object] = None,
    limits: Optional[Mapping[str, Any]] = None,
    field: str = "problem",
) -> Dict[str, Any]:
    """The problem row for what was given: a row, a list of cases, a verl ground truth, or JSON text of one of them."""
    if (problem is None) == (cases is None):
        raise ProblemError(f"{field}: expected one of `problem` and `cases`")
    row: Dict[str, Any] = _row(problem, field) if cases is None else {"cases": _cases(cases, "cases")}
    if limits is not None:
        row["limits"] = {**row.get("limits", {}), **limits_value(limits)}
    return row


def _row(value: object, field: str) -> Dict[str, Any]:
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ProblemError(f"{field}: expected JSON: {error}") from None
    if hasattr(value, "tolist"):
        # Columns of Parquet files arrive as NumPy arrays.
        value = value.tolist()
    if isinstance(value, Mapping):
        if any(value.get(name) is not None for name in ("fn_name", "assert_case", "inputs", "outputs")):
            return _ground_truth(value, field)
        row = {name: part for name, part in value.items() if part is not None}
        if "cases" in row:
            row["cases"] = _cases(row["cases"], f"{field}.cases")
        if "files" in row:
            row["files"] = {path: file_value(part, f"{field}.files.{path}") for path, part in row["files"].items()}
        return row
    if isinstance(value, Sequence):
        return {"cases": _cases(value, field)}
    raise ProblemError(f"{field}: expected a problem row, a list of cases or their JSON, not {type(value).__name__}")


def _cases(cases: object, field: str) -> List[Dict[str, Any]]:
    if hasattr(cases, "tolist"):
        cases = cases.tolist()
    if isinstance(cases, (str, bytes)) or not isinstance(cases, Sequence):
        raise ProblemError(f"{field}: expected a list, not {type(cases).__name__}")
    return [_case(case, f"{field}[{index}]") for index, case in enumerate(cases)]


def _case(case: object, field: str) -> Dict[str, Any]:
    if isinstance(case, Mapping):
        names = {"input": "stdin", "output": "expected"}
        row = {names.get(str(name), str(name)): part for name, part in case.items() if part is not None}
        if "expected" not in row:
            raise ProblemError(f"{field}: has no `expected`")
        for name in ("stdin", "expected"):
            if name in row:
                row[name] = bytes_value(row[name], f"{field}.{name}")
        return row
    if isinstance(case, Sequence) and not isinstance(case, (str, bytes)) and len(case) == 2:
        return {"stdin": bytes_value(case[0], f"{field}.stdin"), "expected": bytes_value(case[1], f"{field}.expected")}
    raise ProblemError(f"{field}: expected a pair of input and expected output")


def _ground_truth(truth: Mapping[str, Any], field: str) -> Dict[str, Any]:
    """verl's `{"inputs": [...], "outputs": [...], "fn_name"?: str, "assert_case"?: [str]}`."""
    inputs, outputs = _column(truth, "inputs", field), _column(truth, "outputs", field)
    asserts = [str(line) for line in _column(truth, "assert_case", field) if str(line).strip()]
    if asserts:
        if any(str(part).strip() for part in inputs):
            raise ProblemError(f"{field}.assert_case: assertions and inputs together have no meaning here")
        return dict(python_row("\n".join(asserts) + "\n"))
    if not inputs or len(inputs) != len(outputs):
        raise ProblemError(f"{field}: has {len(inputs)} `inputs` and {len(outputs)} `outputs`")
    if truth.get("fn_name"):
        name = truth["fn_name"]
        if not isinstance(name, str) or not name.isidentifier():
            raise ProblemError(f"{field}.fn_name: {name!r} is not the name of a function")
        calls = [
            (_arguments(given, f"{field}.inputs[{at}]"), _accepted(expected))
            for at, (given, expected) in enumerate(zip(inputs, outputs))
        ]
        return dict(calls_row(name, calls))
    return {
        "cases": [
            {"stdin": _lines(given, f"{field}.inputs[{at}]"), "expected": _lines(expected, f"{field}.outputs[{at}]")}
            for at, (given, expected) in enumerate(zip(inputs, outputs))
        ]
    }


def _column(truth: Mapping[str, Any], name: str, field: str) -> List[Any]:
    column: Any = truth.get(name)
    if column is None:
        return []
    if hasattr(column, "tolist"):
        column = column.tolist()
    if isinstance(column, (str, bytes)) or not isinstance(column, Sequence):
        raise ProblemError(f"{field}.{name}: expected a list, not {type(column).__name__}")
    return list(column)


def _lines(value: object, field: str) -> Any:
    """A stream: text, or the list of its lines."""
    if (
        isinstance(value, Sequence)
        and not isinstance(value, (str, bytes))
        and all(isinstance(line, str) for line in value)
    ):
        return text_value("\n".join(value))
    return bytes_value(value, field)


def _arguments(given: object, field: str) -> List[str]:
    """A call's arguments as JSON: one on each line, or a list of values."""
    if isinstance(given, str):
        lines = given.strip().split("\n") if given.strip() else []
        try:
            for line in lines:
                json.loads(line)
        except ValueError as error:
            raise ProblemError(f"{field}: expected a JSON value on each line: {error}") from None
        return lines
    if isinstance(given, Sequence):
        return [json.dumps(value) for value in given]
    raise ProblemError(f"{field}: expected the arguments of a call, not {type(given).__name__}")


def _accepted(expected: object) -> List[str]:
    """What a call may return. APPS wraps some results in a list, so its only element counts too."""
    if isinstance(expected, str):
        return [expected.rstrip("\n")]
    if isinstance(expected, list) and len(expected) == 1:
        return [json.dumps(expected), json.dumps(expected[0])]
    return [json.dumps(expected)]


def message_text(completion: object) -> str:
    """What a model said: the completion itself, or of a conversation the last assistant message's text."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Mapping):
        return _content_text(completion.get("content"))
    if isinstance(completion, Sequence):
        for message in reversed(completion):
            role, content = _role_and_content(message)
            if not isinstance(role, str):
                raise ConfigurationError("a completion that is a list must hold messages with a role")
            if role == "assistant":
                return _content_text(content)
        return ""
    if hasattr(completion, "content"):
        return _content_text(completion.content)
    raise ConfigurationError(f"a completion is text or a list of messages, not {type(completion).__name__}")


def _role_and_content(message: object) -> "tuple[object, object]":
    if isinstance(message, Mapping):
        return message.get("role"), message.get("content")
    return getattr(message, "role", None), getattr(message, "content", None)


def _content_text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = [part.get("text") if isinstance(part, Mapping) else getattr(part, "text", None) for part in content]
        return "".join(part for part in parts if isinstance(part, str))
    raise ConfigurationError(f"a message's content is text or a list of parts, not {type(content).__name__}")
