"""A checker that does what the output it is asked about tells it to do."""

import json
import os
import subprocess
import sys
import time

MODE = sys.argv[1] if len(sys.argv) > 1 else ""
DIRECTORY = os.environ["HOOK_DIRECTORY"]


def path(name):
    return os.path.join(DIRECTORY, name)


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def hang():
    while True:
        time.sleep(1000)


if MODE == "die at start":
    sys.stderr.write("no such model: gpt-0\n")
    sys.exit(3)

asked = 0
for line in sys.stdin:
    request = json.loads(line)
    if request.get("describe"):
        if MODE == "never ready":
            hang()
        if MODE == "chatty":
            say("loading the model")
        say(json.dumps({"id": request["id"]}))
        continue
    asked += 1
    what = request["stdout"]
    reply = {"id": request["id"], "passed": what == request["expected"], "message": str(os.getpid())}
    if MODE == "die at the second" and asked == 2:
        sys.exit(1)
    if MODE == "twice":
        say(json.dumps(reply))
    if MODE == "together":
        # Answers only when so many are being asked at the same time.
        open(path(str(os.getpid())), "w").close()
        while len(os.listdir(DIRECTORY)) < int(sys.argv[2]):
            time.sleep(0.001)
    if what == "die":
        sys.stderr.write("x" * 100_000 + "\nValueError: boom\n")
        sys.exit(1)
    elif what == "abort":
        os.abort()
    elif what == "hang":
        hang()
    elif what == "tell and hang":
        with open(path("fifo"), "w") as fifo:
            fifo.write("x")
        hang()
    elif what == "nan":
        say('{"id": %d, "passed": false, "score": NaN}' % request["id"])
        continue
    elif what == "infinity":
        say('{"id": %d, "passed": true, "score": -Infinity}' % request["id"])
        continue
    elif what == "score":
        reply["score"] = 1.5
    elif what == "not json":
        say("{'passed': True}")
        continue
    elif what == "wrong id":
        reply["id"] += 1
    elif what == "string id":
        reply["id"] = str(reply["id"])
    elif what == "no decision":
        del reply["passed"]
    elif what == "unknown field":
        reply["verdict"] = "accepted"
    elif what == "giant":
        reply["message"] = "x" * 5_000_000
    elif what == "endless":
        while True:
            sys.stdout.write("x" * 65536)
    elif what == "flood":
        for _ in range(1000):
            sys.stderr.write("y" * 9999 + "\n")
    elif what == "close":
        os.close(1)
        hang()
    elif what == "half":
        sys.stdout.write(json.dumps(reply))
        sys.stdout.flush()
        os._exit(0)
    elif what == "child":
        reply["message"] = str(subprocess.Popen(["sleep", "1000"]).pid)
    elif what == "give up":
        reply = {"id": reply["id"], "unscorable": "the expected output has no number"}
    elif what == "partly":
        reply["score"] = 0.25
    elif what == "meta":
        reply["message"] = json.dumps([request["problem"], request["case"], request["stdin"], request["meta"]])
    elif what == "bytes":
        reply["message"] = json.dumps(request["stdin"])
    say(json.dumps(reply))

with open(path("bye"), "w") as bye:
    bye.write("bye")
