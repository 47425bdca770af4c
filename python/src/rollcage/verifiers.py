"""A reward function for `verifiers` rubrics: `vf.Rubric(funcs=[rollcage.verifiers.reward()])`.

A rubric turns an exception of a reward function into the reward 0.0, so a failure of ours is not raised here: the
reward is NaN, which no trainer mistakes for a zero, and the state's `error` says what happened. In `verifiers.v1`
there are no rubrics, and exceptions are kept as errors: there a `@vf.reward` method awaits `rollcage.aio.judge` and
returns its `score`.
"""

from __future__ import annotations

import json
import logging
import math
from typing import Any, Callable, Coroutine, Mapping, MutableMapping, Optional

from rollcage._problems import message_text, problem_row
from rollcage.aio import AsyncClient, default_client
from rollcage.results import Scored

_logger = logging.getLogger("rollcage")

#: What a rubric calls with the names it knows.
RewardFunction = Callable[..., Coroutine[Any, Any, float]]


def reward(
    language: str = "python",
    *,
    column: Optional[str] = None,
    stop: Optional[str] = None,
    limits: Optional[Mapping[str, Any]] = None,
    client: Optional[AsyncClient] = None,
    name: str = "rollcage_reward",
) -> RewardFunction:
    """A reward function that judges the program in a completion.

    The problem is `info[column]`; without a column `info["problem"]` or `info["cases"]`, else `answer`. It is a list of
    cases, a problem row, a verl ground truth, or JSON text of one of them. `language` is that of problems that name
    none.
    """

    async def judged_reward(
        completion: Any, answer: Any = None, info: Any = None, state: Any = None, **kwargs: Any
    ) -> float:
        try:
            row = problem_row(_problem(answer, info, column))
            judge_with = client or default_client()
            judged = await judge_with.judge(
                answer=message_text(completion),
                problem=row,
                language=row.get("language") or language,
                stop=stop,
                limits=limits,
            )
            if isinstance(judged, Scored):
                return judged.score
            raise judged.error
        except Exception as error:
            # Whatever it is, the rubric would make it a zero.
            _logger.error("a completion could not be judged and has no reward: %s", error)
            if isinstance(state, MutableMapping) and state.get("error") is None:
                state["error"] = error
            return math.nan

    judged_reward.__name__ = judged_reward.__qualname__ = name
    return judged_reward


def _problem(answer: Any, info: Any, column: Optional[str]) -> Any:
    if isinstance(info, str) and info:
        info = json.loads(info)
    known = info if isinstance(info, Mapping) else {}
    if column is not None:
        return known.get(column)
    return known.get("problem") or known.get("cases") or answer
