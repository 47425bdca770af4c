"""A reward: the judge's score, less a little for each turn."""

import json
import sys

for line in sys.stdin:
    request = json.loads(line)
    reply = {"id": request["id"]}
    if not request.get("describe"):
        score = (request["judgement"] or {"score": 0})["score"]
        haste = -0.05 * (request["trajectory"]["turns"] - 1)
        reply["reward"] = score + haste
        reply["parts"] = {"score": score, "haste": haste}
    print(json.dumps(reply), flush=True)
