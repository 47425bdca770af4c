"""A reward function for verl: `reward.custom_reward_function.path=pkg://rollcage.verl`, `name=compute_score`.

It judges by ground truths as verl's own code sets have them, one sample a call or whole batches. verl takes any
number for a reward, so a failure of ours is not given one: it is tried again, then raised. `infra_score=0.0` among
the reward's `reward_kwargs` gives that number instead, and marks the sample with `infra_error: 1`, for the trainer
to leave out.

verl may also load this file by its path, under a name of its own; that is why it imports the package by name.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Union, overload

from rollcage import _default
from rollcage._batch import Item
from rollcage._problems import problem_row
from rollcage.aio import AsyncClient
from rollcage.aio import default_client as async_default_client
from rollcage.client import Client
from rollcage.errors import ConfigurationError
from rollcage.results import VERDICTS, Judgement, Scored

#: `score`, and numbers that verl averages as metrics. Every sample has every key.
Score = Dict[str, float]


@overload
def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Optional[Mapping[str, Any]] = None,
    *,
    language: str = "python",
    stop: Optional[str] = None,
    infra_score: Optional[float] = None,
    client: Optional[Client] = None,
    **reward_kwargs: Any,
) -> Score: ...


@overload
def compute_score(
    *,
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Optional[Sequence[Any]] = None,
    language: str = "python",
    stop: Optional[str] = None,
    infra_score: Optional[float] = None,
    client: Optional[Client] = None,
    **reward_kwargs: Any,
) -> List[Score]: ...


def compute_score(
    data_source: Optional[str] = None,
    solution_str: Optional[str] = None,
    ground_truth: Any = None,
    extra_info: Optional[Mapping[str, Any]] = None,
    *,
    data_sources: Optional[Sequence[str]] = None,
    solution_strs: Optional[Sequence[str]] = None,
    ground_truths: Optional[Sequence[Any]] = None,
    extra_infos: Optional[Sequence[Any]] = None,
    language: str = "python",
    stop: Optional[str] = None,
    infra_score: Optional[float] = None,
    client: Optional[Client] = None,
    **reward_kwargs: Any,
) -> Union[Score, List[Score]]:
    """Judges the program in a response, or those in a batch of them.

    `ground_truth` is verl's JSON (`inputs` and `outputs`, `fn_name`, `assert_case`), a list of cases or a problem row.
    `language` is that of ground truths that name none. `stop="run_all"` gives a failing program its share of passed
    cases. Where there is no score this raises `UnscorableError`, unless `infra_score` says what to give instead.
    """
    judge_with = client or _default.client()
    if solution_strs is not None:
        items = _items(solution_strs, ground_truths, language)
        return [_score(judged, infra_score) for judged in judge_with.judge_batch(items, stop=stop)]
    item = _item(solution_str, ground_truth, language, "ground_truth")
    judged = judge_with.judge(answer=item.answer, problem=item.problem, language=item.language, stop=stop)
    return _score(judged, infra_score)


async def compute_score_async(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Optional[Mapping[str, Any]] = None,
    *,
    language: str = "python",
    stop: Optional[str] = None,
    infra_score: Optional[float] = None,
    client: Optional[AsyncClient] = None,
    **reward_kwargs: Any,
) -> Score:
    """The same for one sample, to await: as many at once as verl starts, not as its executor has threads."""
    item = _item(solution_str, ground_truth, language, "ground_truth")
    judge_with = client or async_default_client()
    judged = await judge_with.judge(answer=item.answer, problem=item.problem, language=item.language, stop=stop)
    return _score(judged, infra_score)


def _items(solutions: Sequence[str], truths: Optional[Sequence[Any]], language: str) -> List[Item]:
    if truths is None or len(truths) != len(solutions):
        raise ConfigurationError(
            f"{len(solutions)} solution_strs, and {0 if truths is None else len(truths)} ground_truths"
        )
    return [
        _item(solution, truth, language, f"ground_truths[{at}]")
        for at, (solution, truth) in enumerate(zip(solutions, truths))
    ]


def _item(solution: Optional[str], truth: Any, language: str, field: str) -> Item:
    if solution is None:
        raise ConfigurationError("neither solution_str nor solution_strs is given")
    row = problem_row(truth, field=field)
    return Item(answer=solution, problem=row, language=row.get("language") or language)


def _score(judged: Judgement, infra_score: Optional[float]) -> Score:
    if isinstance(judged, Scored):
        score, verdict, infra_error = judged.score, judged.verdict, 0.0
    elif infra_score is None:
        raise judged.error
    else:
        score, verdict, infra_error = float(infra_score), "", 1.0
    counters = {name: float(name == verdict) for name in VERDICTS}
    return {"score": score, "acc": counters["accepted"], "infra_error": infra_error, **counters}
