"""A reward function for TRL's trainers (GRPO and its kin).

    trainer = GRPOTrainer(model, reward_funcs=rollcage.trl.reward(column="cases"), train_dataset=dataset, ...)

One call of the trainer is one batch at the server. A completion that could not be judged is rewarded `None`, which TRL
1.16 leaves out of its group; where an older TRL adds it up as 0, `unscorable="raise"` ends the step instead. A server
that cannot be reached always raises, so that no step is trained on nothing.
"""

from __future__ import annotations

import logging
from typing import Any, List, Mapping, Optional, Sequence

from rollcage import _default
from rollcage._batch import Item
from rollcage._problems import message_text, problem_row
from rollcage.client import Client
from rollcage.errors import ConfigurationError
from rollcage.results import Judgement, Scored, Unscorable

_logger = logging.getLogger("rollcage")


class Reward:
    """What `reward` makes. Can be pickled unless it was given a client."""

    def __init__(
        self,
        language: str,
        column: str,
        stop: Optional[str],
        limits: Optional[Mapping[str, Any]],
        unscorable: str,
        client: Optional[Client],
        name: str,
    ) -> None:
        if unscorable not in ("none", "raise"):
            raise ConfigurationError(f"unscorable is `none` or `raise`, not `{unscorable}`")
        #: What TRL logs it as.
        self.__name__ = name
        self._language = language
        self._column = column
        self._stop = stop
        self._limits = limits
        self._raises = unscorable == "raise"
        self._client = client

    def __call__(
        self,
        prompts: Optional[Sequence[Any]] = None,
        completions: Sequence[Any] = (),
        completion_ids: Optional[Sequence[Any]] = None,
        **kwargs: Any,
    ) -> List[Optional[float]]:
        """The reward of each completion; `None` where it has no problem, or could not be judged."""
        if self._column not in kwargs:
            columns = ", ".join(sorted(name for name, value in kwargs.items() if isinstance(value, list))) or "none"
            raise ConfigurationError(f"the data set has no column `{self._column}` (column=); there are: {columns}")
        problems = kwargs[self._column]
        rows = [at for at in range(len(completions)) if problems[at] is not None]
        items = [self._item(completions[at], problems[at], at) for at in rows]
        client = self._client or _default.client()
        judged = client.judge_batch(items, stop=self._stop, limits=self._limits)
        rewards: List[Optional[float]] = [None] * len(completions)
        for at, judgement in zip(rows, judged):
            rewards[at] = judgement.score if self._raises else judgement.score_or(None)
        self._report(judged, kwargs.get("log_metric"))
        return rewards

    def _item(self, completion: object, problem: object, at: int) -> Item:
        row = problem_row(problem, field=f"{self._column}[{at}]")
        return Item(answer=message_text(completion), problem=row, language=row.get("language") or self._language)

    def _report(self, judged: Sequence[Judgement], log_metric: Any) -> None:
        unscorable = [judgement for judgement in judged if isinstance(judgement, Unscorable)]
        if unscorable:
            first = unscorable[0]
            _logger.warning(
                "%d of %d completions could not be judged and have no reward; the first because of the %s: %s",
                len(unscorable),
                len(judged),
                first.blame,
                first.reason,
            )
        if callable(log_metric) and judged:
            accepted = sum(1 for judgement in judged if isinstance(judgement, Scored) and judgement.accepted)
            log_metric("rollcage/unscorable", len(unscorable) / len(judged))
            log_metric("rollcage/accepted", accepted / len(judged))


def reward(
    language: str = "python",
    column: str = "cases",
    *,
    stop: Optional[str] = None,
    limits: Optional[Mapping[str, Any]] = None,
    unscorable: str = "none",
    client: Optional[Client] = None,
    name: str = "rollcage_reward",
) -> Reward:
    """A reward function that judges the program in each completion by the problem in `column`.

    A value of the column is a list of cases, a problem row, a verl ground truth, or JSON text of one of them; `None`
    means that the row has no problem. `language` is that of rows that name none. `stop="run_all"` gives a failing
    program its share of passed cases. The program is the last fenced block of the language in the completion's text,
    or in the text of the last assistant message.
    """
    return Reward(language, column, stop, limits, unscorable, client, name)
