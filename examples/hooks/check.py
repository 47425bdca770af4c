"""A checker: any order of the expected numbers is right, and each of them earns its share."""

import json
import sys

for line in sys.stdin:
    request = json.loads(line)
    reply = {"id": request["id"]}
    if not request.get("describe"):
        expected, got = request["expected"].split(), request["stdout"].split()
        found = sum(min(expected.count(number), got.count(number)) for number in set(expected))
        reply["passed"] = sorted(expected) == sorted(got)
        reply["score"] = 1 if reply["passed"] else found / max(len(expected), len(got), 1)
        reply["message"] = f"{found} of {len(expected)} numbers are there"
    print(json.dumps(reply), flush=True)
