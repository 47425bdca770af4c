"""How long one call of a GRPO reward function takes: through the wheel, and as scripts usually do it.

64 completions (8 problems, 8 samples of each, 5 cases a problem), a quarter of them wrong. The recipes run
`sys.executable` for each completion and case, uncaged: one after the other, and with a thread for each processor.
All see the same completions in the same run, in turn, and the median of the rounds is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Tuple

import rollcage
import rollcage.trl
import rollcage.verl

PROBLEMS = 8
SAMPLES = 8
CASES = 5
# A program of these recipes that hangs would hang the trainer.
TIMEOUT_S = 10.0

Recipe = Callable[[List[str], List[List[Tuple[str, str]]]], List[float]]


def completions() -> Tuple[List[str], List[List[Tuple[str, str]]]]:
    """What a model might have said, and each answer's cases."""
    answers, cases = [], []
    for problem in range(PROBLEMS):
        tests = [(f"{n}\n", f"{n * n + problem}\n") for n in range(CASES)]
        for sample in range(SAMPLES):
            wrong = 1 if sample % 4 == 3 else 0
            program = f"n = int(input())\nprint(n * n + {problem} + {wrong})  # sample {sample}"
            answers.append(f"The square and {problem}:\n\n```python\n{program}\n```\n")
            cases.append(tests)
    return answers, cases


def passes(program: str, stdin: str, expected: str) -> bool:
    """One case as scripts run it."""
    try:
        ended = subprocess.run(
            [sys.executable, "-c", program], input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0 and ended.stdout.strip() == expected.strip()


def one_reward(answer: str, cases: List[Tuple[str, str]]) -> float:
    """One completion as scripts judge it: up to its first failure."""
    found = re.findall(r"```python\n(.*?)```", answer, re.DOTALL)
    return float(bool(found) and all(passes(found[-1], *case) for case in cases))


def subprocess_serial(answers: List[str], cases: List[List[Tuple[str, str]]]) -> List[float]:
    """One after the other."""
    return [one_reward(answer, tests) for answer, tests in zip(answers, cases)]


def subprocess_threads(answers: List[str], cases: List[List[Tuple[str, str]]]) -> List[float]:
    """With a thread for each processor."""
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        return list(executor.map(one_reward, answers, cases))


def wheel_trl(answers: List[str], cases: List[List[Tuple[str, str]]]) -> List[float]:
    """`rollcage.trl.reward`: one batch."""
    rewards = rollcage.trl.reward()(prompts=answers, completions=answers, completion_ids=[], cases=cases)
    return [-1.0 if reward is None else reward for reward in rewards]


def wheel_verl_threads(answers: List[str], cases: List[List[Tuple[str, str]]]) -> List[float]:
    """`rollcage.verl.compute_score` a sample at a time, from the threads of asyncio's executor."""
    with ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 4)) as executor:
        scores = executor.map(lambda answer, tests: rollcage.verl.compute_score("b", answer, tests), answers, cases)
        return [score["score"] for score in scores]


RECIPES: Dict[str, Recipe] = {
    "subprocess": subprocess_serial,
    "subprocess_threads": subprocess_threads,
    "wheel_trl": wheel_trl,
    "wheel_verl_threads": wheel_verl_threads,
}


def measure(rounds: int) -> Dict[str, Any]:
    """Each recipe in turn, `rounds` times."""
    answers, cases = completions()
    rollcage.run("")
    seconds: Dict[str, List[float]] = {name: [] for name in RECIPES}
    rewards = {}
    for _ in range(rounds):
        for name, recipe in RECIPES.items():
            start = time.perf_counter()
            rewards[name] = recipe(answers, cases)
            seconds[name].append(time.perf_counter() - start)
    if len({tuple(rewarded) for rewarded in rewards.values()}) != 1:
        sys.exit(f"the recipes disagree: {rewards}")
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {
        "completions": len(answers),
        "cases": CASES,
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "isolation": rollcage.default_client().health().isolation,
        "rounds": rounds,
        "seconds": {
            name: {"median": round(medians[name], 4), "min": round(min(taken), 4), "max": round(max(taken), 4)}
            for name, taken in seconds.items()
        },
        "times_faster": {
            "than_subprocess": round(medians["subprocess"] / medians["wheel_trl"], 2),
            "than_subprocess_threads": round(medians["subprocess_threads"] / medians["wheel_trl"], 2),
        },
    }


def main() -> None:
    """Prints the figures, as JSON with `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    report = measure(options.rounds)
    if options.json:
        print(json.dumps(report))
        return
    for name, taken in report["seconds"].items():
        print(f"{name:20} {taken['median']:8.3f} s  ({taken['min']:.3f} to {taken['max']:.3f})")
    for name, factor in report["times_faster"].items():
        print(f"wheel_trl is {factor} times faster {name.replace('_', ' ')}")


if __name__ == "__main__":
    main()
