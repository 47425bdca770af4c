"""A tool: looks words up in a dictionary of two."""

import json
import sys

WORDS = {"cage": "what holds a program", "hook": "a process of your own"}
PARAMETERS = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
TOOLS = [{"name": "look_up", "description": "Says what a word means.", "parameters": PARAMETERS}]

for line in sys.stdin:
    request = json.loads(line)
    reply = {"id": request["id"]}
    if request.get("describe"):
        reply["tools"] = TOOLS
    else:
        word = request["arguments"].get("word")
        if word in WORDS:
            reply["output"] = WORDS[word]
        else:
            reply["error"] = f"no entry for {word!r}"
    print(json.dumps(reply), flush=True)
