"""What PyPI's client makes of the server's replies. Prints a JSON object: results by name."""

import asyncio
import base64
import json
import sys

import sandbox_fusion as sf
from sandbox_fusion import RunCodeRequest, SummaryMapping, run_code, run_concurrent, set_endpoint
from sandbox_fusion import async_client

set_endpoint(sys.argv[1])
PROGRAMS = json.loads(sys.argv[2])


def told(response):
    found = json.loads(response.json())
    found["summary"] = sf.summary_run_code_result(
        response,
        SummaryMapping(CompileFailed="CE", CompileTimeout="CT", RunFailed="RE", RunTimeout="TLE"),
    )
    return found


def encoded(data):
    return base64.b64encode(data).decode()


results = {}
for name, (language, code) in PROGRAMS.items():
    results[name] = told(run_code(RunCodeRequest(code=code, language=language, stdin="4 5\n")))

results["stopped"] = told(
    run_code(
        RunCodeRequest(
            code="print('so far', flush=True)\nwhile True: pass", language="python", run_timeout=1
        )
    )
)
results["files"] = told(
    run_code(
        RunCodeRequest(
            code="import os\ndata = open('in/data.bin', 'rb').read()\nos.makedirs('out')\n"
            "open('out/back.bin', 'wb').write(data[::-1])\nprint(sorted(os.listdir('.')))",
            language="python",
            files={"in/data.bin": encoded(b"\x00\xff\n1"), "IGNORE_THIS_FILE": "?", "none": None},
            fetch_files=["./out/back.bin", "in/data.bin", "nowhere"],
        )
    )
)

requests = [[RunCodeRequest(code=f"print({n} ** 2)", language="python")] for n in range(32)]
squares = run_concurrent(run_code, args=requests, concurrency=16)
results["concurrent"] = [response.run_result.stdout for response in squares]


async def both():
    requests = (RunCodeRequest(code=f"echo {n}", language="bash") for n in range(8))
    return await asyncio.gather(*(async_client.run_code(request) for request in requests))


results["asynchronous"] = [response.run_result.stdout for response in asyncio.run(both())]
json.dump(results, sys.stdout)
