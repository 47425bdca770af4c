"""A batch in work: which items are sent next, which results have come, which are tried again. No connection.

Results are streamed, so a broken connection costs only what had not arrived, and problems that items share are sent
once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Set, Union

from . import _wire
from ._http import Request
from ._problems import ProblemError, problem_row, text_value
from .errors import ProtocolError
from .results import Judgement, Unscorable

# What one request may hold, so that a large batch stays below servers' limits on bodies. One item may be larger.
REQUEST_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True)
class Item:
    """One solution to judge. Exactly one of `solution`, `completion` and `answer`; one of `problem` and `cases`."""

    #: A whole program.
    solution: Optional[str] = None
    #: What continues the problem's `prefix`.
    completion: Optional[str] = None
    #: What a model said; the program is its last fenced block in the language.
    answer: Optional[str] = None
    #: A problem row, its JSON, or the name of one of the batch's problems.
    problem: Optional[object] = None
    #: Pairs of input and expected output.
    cases: Optional[object] = None
    language: Optional[str] = None
    #: Comes back with the judgement.
    id: Optional[str] = None


#: An item, or a mapping with its fields.
AnyItem = Union[Item, Mapping[str, Any]]


class _Encoded(NamedTuple):
    fields: Dict[str, Any]
    problem: int


class Batch:
    """The items of one call, until each has its judgement."""

    def __init__(
        self,
        items: Iterable[AnyItem],
        problems: Optional[Mapping[str, object]] = None,
        language: Optional[str] = None,
        stop: Optional[str] = None,
        limits: Optional[Mapping[str, Any]] = None,
        unscorable_retries: int = 0,
        default_language: str = "python",
    ) -> None:
        # Problems as JSON, and where each stands by its JSON: equal ones are sent once, whoever gave them.
        self._problems: List[str] = []
        self._places: Dict[str, int] = {}
        # Whether each problem names a language.
        self._has_language: List[bool] = []
        self._limits = limits
        self._language = language
        self._default_language = default_language
        self._stop = stop
        self._shared = {name: self._place(row, None, f"problems.{name}") for name, row in (problems or {}).items()}
        self._items = [self._encode(item, at) for at, item in enumerate(items)]
        self._tries_left = [unscorable_retries] * len(self._items)
        self._pending = list(range(len(self._items)))
        # The items of the request in work, by their place in it.
        self._sent: List[int] = []
        self._missing: Set[int] = set()
        self._again: List[int] = []
        #: How many items there are.
        self.size = len(self._items)

    def next_request(self) -> Optional[Request]:
        """The next request; `None` when every item has its judgement."""
        # What the last one did not answer goes first: its connection broke.
        self._pending = [self._sent[at] for at in sorted(self._missing)] + self._pending
        if not self._pending:
            self._pending, self._again = self._again, []
        if not self._pending:
            return None
        parts: List[str] = []
        problems: Dict[int, str] = {}
        total = 0
        for count, index in enumerate(self._pending):
            fields, place = self._items[index]
            part = json.dumps({**fields, "problem": str(place)}, ensure_ascii=False)
            problem = "" if place in problems else self._problems[place]
            total += len(part) + len(problem)
            if count and total > REQUEST_BYTES_MAX:
                break
            parts.append(part)
            if problem:
                problems[place] = problem
        self._sent, self._pending = self._pending[: len(parts)], self._pending[len(parts) :]
        self._missing = set(range(len(parts)))
        stop = "" if self._stop is None else f',"stop":{json.dumps(self._stop)}'
        named = ",".join(f'"{place}":{problem}' for place, problem in problems.items())
        body = f'{{"problems":{{{named}}},"items":[{",".join(parts)}]{stop}}}'
        return Request("POST", "/v1/judge/batch", body.encode("utf-8"), accept=_wire.NDJSON)

    @property
    def is_retry(self) -> bool:
        """Whether the next request holds only items that were judged before, so that a pause may help."""
        return not self._missing and not self._pending and bool(self._again)

    def take(self, line: bytes) -> Optional[Judgement]:
        """The judgement in a line of the answer, with its place in the whole batch; `None` if it is tried again."""
        judged = _wire.read(line, self._judged)
        if judged is None:
            return None
        if isinstance(judged, Unscorable) and judged.retryable and self._tries_left[judged.index] > 0:
            self._tries_left[judged.index] -= 1
            self._again.append(judged.index)
            return None
        return judged

    def end(self) -> None:
        """Told that the answer was whole."""
        if self._missing:
            raise ProtocolError(
                f"the server's answer ended, and {len(self._missing)} of {len(self._sent)} results did not come"
            )

    def _judged(self, value: Dict[str, Any]) -> Optional[Judgement]:
        if "done" in value:
            return None
        at = value["index"]
        if at not in self._missing:
            raise ValueError(f"a second result, or one that was not asked for: {at!r}")
        judged = _wire.judgement({**value, "index": self._sent[at]})
        self._missing.discard(at)
        return judged

    def _encode(self, item: AnyItem, at: int) -> _Encoded:
        if not isinstance(item, Item):
            try:
                item = Item(**item)
            except TypeError as error:
                raise ProblemError(f"items[{at}]: {error}") from None
        texts = {"solution": item.solution, "completion": item.completion, "answer": item.answer}
        fields: Dict[str, Any] = {name: text_value(text) for name, text in texts.items() if text is not None}
        if len(fields) != 1:
            raise ProblemError(f"items[{at}]: expected one of `solution`, `completion` and `answer`")
        if item.id is not None:
            fields["id"] = str(item.id)
        if isinstance(item.problem, str) and item.cases is None and item.problem in self._shared:
            place = self._shared[item.problem]
        else:
            place = self._place(item.problem, item.cases, f"items[{at}].problem")
        language = item.language or self._language
        if language is None and not self._has_language[place]:
            language = self._default_language
        if language is not None:
            fields["language"] = language
        return _Encoded(fields, place)

    def _place(self, problem: object, cases: Optional[object], field: str) -> int:
        row = problem_row(problem, cases, self._limits, field)
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = len(self._problems)
            self._problems.append(text)
            self._has_language.append(row.get("language") is not None)
        return place

    def only_request(self) -> Request:
        """The batch's one item as a request of its own."""
        [(fields, place)] = self._items
        stop = {} if self._stop is None else {"stop": self._stop}
        return Request(
            "POST", "/v1/judge", _wire.to_json({**fields, **stop, "problem": json.loads(self._problems[place])})
        )
