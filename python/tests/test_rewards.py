"""Reward functions, as the trainers call them."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import logging
import math
import pickle
from typing import Any, Dict, List

import pytest
from scripted import Peer, Received, chunked, refusal, reply, scored, unscorable

import rollcage
import rollcage.trl
import rollcage.verifiers
import rollcage.verl

CASES = [{"stdin": "1\n", "expected": "2\n"}]
TRUTH = json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]})


def by_answer(received: Received) -> bytes:
    """`good` earns 1, `ours` cannot be judged, the rest earns 0."""
    lines: List[Any] = []
    for at, item in enumerate(received.body["items"]):
        text = item["answer"]
        lines.append(unscorable(at, False) if text == "ours" else scored(at, float(text == "good")))
    return chunked(*lines, {"done": True, "results": len(lines)})


def test_trl_gets_one_reward_for_each_completion(caplog: pytest.LogCaptureFixture) -> None:
    metrics: Dict[str, float] = {}
    with Peer(by_answer) as peer, rollcage.Client(peer.url) as client:
        reward = rollcage.trl.reward(column="tests", client=client)
        with caplog.at_level(logging.WARNING, "rollcage"):
            rewards = reward(
                prompts=["p"] * 4,
                completions=["good", [{"role": "assistant", "content": "bad"}], "ours", "good"],
                completion_ids=[[1]] * 4,
                tests=[CASES, json.dumps(CASES), TRUTH, None],
                trainer_state=object(),
                log_metric=metrics.__setitem__,
            )
    assert rewards == [1.0, 0.0, None, None]
    assert len(peer.requests) == 1 and len(peer.requests[0].body["problems"]) == 1
    assert metrics == {"rollcage/unscorable": pytest.approx(1 / 3), "rollcage/accepted": pytest.approx(1 / 3)}
    assert "1 of 3 completions could not be judged" in caplog.text
    assert reward.__name__ == "rollcage_reward"


def test_trl_can_be_stopped_by_an_unscorable() -> None:
    with Peer(by_answer) as peer, rollcage.Client(peer.url) as client:
        reward = rollcage.trl.reward(client=client, unscorable="raise")
        with pytest.raises(rollcage.UnscorableError):
            reward(prompts=["p"], completions=["ours"], cases=[CASES])
    with pytest.raises(rollcage.ConfigurationError):
        rollcage.trl.reward(unscorable="zero")


def test_trl_is_told_what_column_is_missing() -> None:
    with pytest.raises(rollcage.ConfigurationError, match="no column `cases`.*there are: answer, level"):
        rollcage.trl.reward()(prompts=["p"], completions=["c"], completion_ids=[[]], answer=["4"], level=[1])


def test_trl_is_never_trained_on_a_server_that_is_gone() -> None:
    with Peer(refusal(500, "infrastructure", False)) as peer, rollcage.Client(peer.url) as client:
        with pytest.raises(rollcage.InfrastructureFailure):
            rollcage.trl.reward(client=client)(prompts=["p"], completions=["good"], cases=[CASES])


def test_trl_rewards_can_be_pickled() -> None:
    copy = pickle.loads(pickle.dumps(rollcage.trl.reward(name="tests_pass")))
    assert copy.__name__ == "tests_pass" and not inspect.iscoroutinefunction(copy)


def test_verl_gets_a_score_and_counters() -> None:
    with Peer(reply(scored(0)), reply(scored(0, 0.0))) as peer, rollcage.Client(peer.url) as client:
        good = rollcage.verl.compute_score("apps", "text", TRUTH, {"split": "train"}, client=client, other=1)
        bad = rollcage.verl.compute_score("apps", "text", json.loads(TRUTH), client=client)
    assert (good["score"], good["acc"], good["infra_error"], good["accepted"]) == (1.0, 1.0, 0.0, 1.0)
    assert (bad["score"], bad["acc"], bad["infra_error"], bad["wrong_answer"]) == (0.0, 0.0, 0.0, 1.0)
    assert good.keys() == bad.keys() and all(isinstance(value, float) for value in good.values())
    assert [request.path for request in peer.requests] == ["/v1/judge"] * 2
    assert peer.requests[0].body["answer"] == "text"


def test_verl_is_not_given_a_number_for_our_failure_unless_it_says_which() -> None:
    with Peer(reply(unscorable(0, False))) as peer, rollcage.Client(peer.url) as client:
        with pytest.raises(rollcage.UnscorableError):
            rollcage.verl.compute_score("apps", "text", TRUTH, client=client)
        marked = rollcage.verl.compute_score("apps", "text", TRUTH, client=client, infra_score=-1)
    assert (marked["score"], marked["infra_error"], marked["acc"]) == (-1.0, 1.0, 0.0)
    assert sum(marked[verdict] for verdict in rollcage.VERDICTS) == 0.0


def test_verl_batches_are_one_request() -> None:
    with Peer(by_answer) as peer, rollcage.Client(peer.url) as client:
        scores = rollcage.verl.compute_score(
            data_sources=["apps"] * 3,
            solution_strs=["good", "bad", "good"],
            ground_truths=[TRUTH] * 3,
            extra_infos=[None] * 3,
            client=client,
        )
    assert [score["score"] for score in scores] == [1.0, 0.0, 1.0]
    assert len(peer.requests) == 1


def test_verl_can_await() -> None:
    async def judge(url: str) -> Dict[str, float]:
        async with rollcage.AsyncClient(url) as client:
            return await rollcage.verl.compute_score_async("apps", "text", TRUTH, client=client)

    with Peer(reply(scored(0))) as peer:
        assert asyncio.run(judge(peer.url))["score"] == 1.0


def test_verl_loads_the_file_by_its_path() -> None:
    spec = importlib.util.spec_from_file_location("custom_module", rollcage.verl.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with Peer(reply(scored(0))) as peer, rollcage.Client(peer.url) as client:
        assert module.compute_score("apps", "text", TRUTH, client=client)["score"] == 1.0


def test_verifiers_gets_a_reward_or_a_mark() -> None:
    async def call(url: str, **given: Any) -> float:
        async with rollcage.AsyncClient(url) as client:
            return await rollcage.verifiers.reward(client=client)(**given)

    chat = [{"role": "assistant", "content": "text"}]
    for given in (
        {"answer": TRUTH},
        {"answer": "", "info": {"cases": CASES}},
        {"info": json.dumps({"problem": CASES})},
    ):
        with Peer(reply(scored(0))) as peer:
            state: Dict[str, Any] = {}
            assert asyncio.run(call(peer.url, completion=chat, state=state, prompt="p", task="t", **given)) == 1.0
            assert state == {}
        assert peer.requests[0].body["problem"] == {"cases": CASES}
    with Peer(reply(unscorable(0, False))) as peer:
        state = {}
        assert math.isnan(asyncio.run(call(peer.url, completion=chat, state=state, answer=TRUTH)))
        assert isinstance(state["error"], rollcage.UnscorableError)
    with Peer(b"") as peer:
        assert math.isnan(asyncio.run(call(peer.url, completion=chat, answer="no problem at all")))


def test_verifiers_sees_a_function_for_one_rollout() -> None:
    function = rollcage.verifiers.reward(name="passes")
    parameters = set(inspect.signature(function).parameters)
    assert {"completion", "answer", "info", "state", "kwargs"} == parameters
    assert function.__name__ == "passes" and inspect.iscoroutinefunction(function)
