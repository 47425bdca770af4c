"""Measures an ipykernel driven by jupyter_client, and prints one JSON object: durations in seconds, memory in kilobytes.

Arguments: how many kernels to start, how many cells to run in one, how many kernels to keep idle at once, and a cell that uses
pandas. Or `open` and how many kernels to hold open together, with a cell in each.
"""

import json
import os
import sys
import time
from queue import Empty

from jupyter_client.manager import KernelManager


def start():
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    return manager, client


def run(client, source):
    """Until the kernel is idle again and the reply is there, as a client must wait to have the output."""
    message = client.execute(source)
    text = ""
    while True:
        reply = client.get_iopub_msg(timeout=120)
        if reply["parent_header"].get("msg_id") != message:
            continue
        if reply["msg_type"] == "execute_result":
            text = reply["content"]["data"]["text/plain"]
        if reply["msg_type"] == "error":
            raise RuntimeError(reply["content"]["evalue"])
        if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
            break
    while True:
        try:
            if client.get_shell_msg(timeout=120)["parent_header"].get("msg_id") == message:
                return text
        except Empty:
            pass


def stop(manager, client):
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def timed(action):
    began = time.perf_counter()
    result = action()
    return time.perf_counter() - began, result


def all_kb(managers):
    """Proportional memory, because what they share they share."""
    total = 0
    for manager in managers:
        with open(f"/proc/{manager.provisioner.pid}/smaps_rollup") as rollup:
            total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return total


def hold_open(count):
    kernels = [start() for _ in range(count)]
    for index, (_, client) in enumerate(kernels):
        for source in (f"n = {index}", "n = n + 1", "n = n + 2"):
            run(client, source)
    took = []
    for index, (_, client) in enumerate(kernels):
        seconds, text = timed(lambda: run(client, "n"))
        assert text == str(index + 3), text
        took.append(seconds)
    json.dump({"open": {"cell": took, "kb": all_kb([manager for manager, _ in kernels])}}, sys.stdout)
    for manager, client in kernels:
        stop(manager, client)


def main():
    starts, cells, idle = (int(argument) for argument in sys.argv[1:4])
    report = {"create": [], "first-cell": [], "cell": []}
    for _ in range(starts):
        took, (manager, client) = timed(start)
        report["create"].append(took)
        took, text = timed(lambda: run(client, "x = 1\nx"))
        assert text == "1", text
        report["first-cell"].append(took)
        stop(manager, client)
    manager, client = start()
    run(client, "x = 0")
    for number in range(1, cells + 1):
        took, text = timed(lambda: run(client, "x += 1\nx"))
        assert text == str(number), text
        report["cell"].append(took)
    stop(manager, client)
    for name, source in (("idle-memory", "x = 1\nx"), ("idle-memory-pandas", sys.argv[4])):
        kernels = [start() for _ in range(idle)]
        took = [timed(lambda: run(client, source))[0] for _, client in kernels]
        report[name] = {"cell": took, "kb": all_kb([manager for manager, _ in kernels]) // idle}
        for manager, client in kernels:
            stop(manager, client)
    json.dump(report, sys.stdout)


os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
if sys.argv[1] == "open":
    hold_open(int(sys.argv[2]))
else:
    main()
