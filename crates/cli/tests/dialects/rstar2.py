"""Submits in long batches as rStar2 does: what waited too long in the queue is submitted again, all else is kept.

Arguments: the server's URL, and a JSON list of submissions. Prints {"results": […, null where it gave up], "calls": N}.
"""

import asyncio
import json
import sys

import aiohttp

CALLS = 4
url, submissions = sys.argv[1] + "/run/long-batch", json.loads(sys.argv[2])


async def submit():
    results, left, calls = [None] * len(submissions), list(range(len(submissions))), 0
    async with aiohttp.ClientSession() as session:
        while left and calls < CALLS:
            calls += 1
            batch = {"type": "batch", "submissions": [submissions[index] for index in left]}
            try:
                async with session.post(url, json=batch) as reply:
                    reply.raise_for_status()
                    answers = (await reply.json())["results"]
            except aiohttp.ClientError:
                continue
            for index, answer in zip(left, answers):
                if answer["reason"] != "queue_timeout":
                    results[index] = answer
            left = [index for index in left if results[index] is None]
    return {"results": results, "calls": calls}


json.dump(asyncio.run(submit()), sys.stdout)
