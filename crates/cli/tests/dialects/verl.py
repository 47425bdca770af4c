"""Sends what verl sends for each test case, tries again as verl does, and scores as verl does.

Arguments: the whole URL of /run_code, and a JSON list of [language, code, stdin, expected, seconds]. Prints a list of
[score, attempts].
"""

import json
import sys

import requests

ATTEMPTS = 3
url, cases = sys.argv[1], json.loads(sys.argv[2])


def call(language, code, stdin, seconds):
    payload = {
        "compile_timeout": seconds,
        "run_timeout": seconds,
        "code": code,
        "stdin": stdin,
        "memory_limit_MB": 1024,
        "language": language,
        "files": {},
        "fetch_files": [],
    }
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    for attempt in range(1, ATTEMPTS + 1):
        patience = 2 * seconds + 10
        reply = requests.post(url, headers=headers, data=json.dumps(payload), timeout=patience)
        if reply.status_code != 504:
            break
    return (reply.json() if reply.ok else None), attempt


def score(reply, expected):
    if reply is None or reply["status"] == "SandboxError":
        return -1
    compiled, ran = reply["compile_result"], reply["run_result"]
    if reply["status"] == "Success":
        return ran["stdout"].rstrip("\n") == expected.rstrip("\n")
    if compiled and (compiled["status"] != "Finished" or compiled["return_code"] != 0):
        return -4
    if ran["status"] == "TimeLimitExceeded":
        return -3
    return -2 if ran["return_code"] != 0 else -1


scores = []
for language, code, stdin, expected, seconds in cases:
    reply, attempts = call(language, code, stdin, seconds)
    scores.append([score(reply, expected), attempts])
json.dump(scores, sys.stdout)
