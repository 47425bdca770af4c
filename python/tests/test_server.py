"""Against the real server: what programs do, and that a server never outlives its owner."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List

import pytest
from conftest import run_python

import rollcage
from rollcage import Scored, Unscorable

ADD_ONE = "print(int(input()) + 1)"
CASES = [("1\n", "2\n"), ("41\n", "42\n")]
# A server ends, and a cage with its connection, in milliseconds; a busy machine gets this long.
PATIENCE_S = 60.0


def until(holds: Any) -> None:
    """Waits for a change that no descriptor tells of."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def server_pid(client: rollcage.Client) -> int:
    pid = client._transport.endpoint._server.pid  # type: ignore[attr-defined]
    assert isinstance(pid, int)
    return pid


def test_a_program_runs(client: rollcage.Client) -> None:
    result = client.run(
        "import sys; open('out', 'wb').write(b'\\xff'); print(open('in').read(), sys.argv[1], input())",
        stdin="typed\n",
        args=["argument"],
        files={"in": "file"},
        limits={"cpu_time": 5, "memory": "256MiB"},
        collect=["out", "missing"],
    )
    assert result.ok, result
    assert result.stdout == "file argument typed\n" and result.files == {"out": b"\xff"}
    assert result.execution.enforcement.level in ("full", "rootless", "process")


@pytest.mark.parametrize(
    "code, limits, text",
    [
        ("raise SystemExit(3)", {}, "exited: 3"),
        ("import os; os.abort()", {}, "signaled: 6"),
        ("while True: pass", {"cpu_time": 0.2}, "limit_exceeded: cpu_time"),
        ("x = bytearray(1 << 30)", {"memory": "64MiB"}, "limit_exceeded: memory"),
    ],
)
def test_ends_are_results(client: rollcage.Client, code: str, limits: Dict[str, Any], text: str) -> None:
    result = client.run(code, limits=limits)
    assert not result.ok and str(result.execution.termination) == text


def test_what_does_not_compile_is_a_result(client: rollcage.Client) -> None:
    if not any(language.name == "c" and language.present for language in client.languages()):
        pytest.skip("a C compiler")
    result = client.run("int main(", "c")
    assert result.status == "compile_failed" and not result.ok
    with pytest.raises(rollcage.CompileFailed, match="error"):
        result.stdout


def test_solutions_are_judged(client: rollcage.Client) -> None:
    assert client.judge(ADD_ONE, cases=CASES).score == 1.0
    answer = client.judge(answer=f"So:\n```python\n{ADD_ONE}\n```\n", cases=CASES)
    assert answer.accepted
    half = client.judge("print(2)", cases=CASES, stop="run_all")
    assert isinstance(half, Scored) and (half.verdict, half.score, len(half.cases)) == ("partially_correct", 0.5, 2)
    none = client.judge(answer="I do not know.", cases=CASES)
    assert (none.score, none.verdict) == (0.0, "compile_error")
    completion = client.judge(
        completion="    return a + b\n",
        problem={"prefix": "def add(a, b):\n", "test_code": "assert add(1, 2) == 3", "language": "python"},
    )
    assert completion.accepted


def test_ground_truths_of_verl_are_judged(client: rollcage.Client) -> None:
    program = "```python\ndef add(a, b):\n    return a + b\n```"
    for truth, score in [
        ({"fn_name": "add", "inputs": ["1\n2"], "outputs": ["3"]}, 1.0),
        ({"fn_name": "add", "inputs": ["1\n2"], "outputs": ["4"]}, 0.0),
        ({"assert_case": ["assert add(1, 2) == 3"], "inputs": [""], "outputs": [None]}, 1.0),
        ({"assert_case": ["assert add(1, 2) == 4"], "inputs": [""], "outputs": [None]}, 0.0),
    ]:
        assert client.judge(answer=program, problem=truth).score == score, truth


def test_mistakes_name_their_field(client: rollcage.Client) -> None:
    with pytest.raises(rollcage.BadRequest, match=r"cases\[0\]"):
        client.judge("", problem={"cases": [{"expected": "1", "stdout": "2"}]})
    with pytest.raises(rollcage.UnknownLanguage, match="pyton"):
        client.run("", "pyton")
    with pytest.raises(rollcage.BadRequest, match="memory"):
        client.run("", limits={"memory": "64"})


def test_a_batch_and_its_stream(client: rollcage.Client) -> None:
    items = [{"solution": f"print(int(input()) + {n % 2})", "problem": "p", "id": str(n)} for n in range(20)]
    judged = client.judge_batch(items, problems={"p": CASES})
    assert [(one.id, one.score) for one in judged] == [(str(n), float(n % 2)) for n in range(20)]
    streamed = sorted(one.index for one in client.judge_stream(items, problems={"p": CASES}))
    assert streamed == list(range(20))


def test_threads_share_a_client(client: rollcage.Client) -> None:
    def judge(n: int) -> float:
        return client.judge(f"print(int(input()) + {n % 2})", cases=CASES).score

    with ThreadPoolExecutor(16) as executor:
        assert list(executor.map(judge, range(64))) == [float(n % 2) for n in range(64)]


def test_many_at_once_with_asyncio(client: rollcage.Client) -> None:
    async def judge_all() -> List[float]:
        shared = rollcage.AsyncClient.sharing(client)
        judged = await asyncio.gather(*(shared.judge(ADD_ONE, cases=CASES) for _ in range(64)))
        return [one.score for one in judged]

    assert asyncio.run(judge_all()) == [1.0] * 64


def test_cancelling_ends_the_cage(client: rollcage.Client) -> None:
    async def cancel() -> None:
        shared = rollcage.AsyncClient.sharing(client)
        task = asyncio.create_task(shared.run("while True: pass", limits={"cpu_time": 300, "wall_time": 300}))
        while (await shared.health()).running == 0:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    until(lambda: client.health().running == 0)


def test_a_stream_closed_early_ends_its_cages(client: rollcage.Client) -> None:
    slow = {"solution": "while True: pass", "cases": CASES}
    stream = client.judge_stream(
        [{"solution": ADD_ONE, "cases": CASES}, slow], limits={"cpu_time": 300, "wall_time": 300}
    )
    assert next(stream).index == 0
    stream.close()
    until(lambda: client.health().running == 0)


def test_a_server_ends_with_its_client(binary: Path) -> None:
    with rollcage.Client(binary=str(binary)) as client:
        client.health()
        pid, socket_path = server_pid(client), client._transport.endpoint.locate()[0].path
        assert is_running(pid)
    assert not is_running(pid) and socket_path is not None and not Path(socket_path).parent.exists()


def test_a_server_that_died_is_started_again(binary: Path) -> None:
    with rollcage.Client(binary=str(binary)) as client:
        client.health()
        os.kill(server_pid(client), signal.SIGKILL)
        assert client.judge(ADD_ONE, cases=CASES).score == 1.0


def test_a_level_that_cannot_be_had_is_not_lowered(binary: Path) -> None:
    with rollcage.Client(binary=str(binary), server_args=["--require", "no_such_mechanism"]) as client:
        with pytest.raises(rollcage.ServerStartError, match="no_such_mechanism"):
            client.health()


def test_a_socket_is_of_no_use_to_others(client: rollcage.Client) -> None:
    address, _ = client._transport.endpoint.locate()
    with rollcage.Client(str(address), token="guess") as other:
        with pytest.raises(rollcage.Unauthorized):
            other.run("")


PRINT_PID = (
    "import rollcage; rollcage.run(''); print(rollcage.default_client()._transport.endpoint._server.pid, flush=True); "
)


@pytest.mark.parametrize(
    "end",
    ["", "raise SystemExit(1)", "raise RuntimeError", "import os; os._exit(0)", "import os; os.kill(os.getpid(), 9)"],
)
def test_an_interpreter_leaves_no_server(binary: Path, end: str) -> None:
    ended = run_python(PRINT_PID + end, ROLLCAGE_BINARY=str(binary))
    pid = int(ended.stdout)
    until(lambda: not is_running(pid))


def test_a_killed_interpreter_with_a_forked_child_leaves_no_server(binary: Path) -> None:
    source = PRINT_PID + (
        "import os, signal; child = os.fork(); child or signal.pause(); print(child, flush=True); "
        "os.kill(os.getpid(), 9)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ROLLCAGE_BINARY": str(binary)},
    )
    assert process.stdout is not None
    server, child = int(process.stdout.readline()), int(process.stdout.readline())
    process.wait()
    try:
        until(lambda: not is_running(server))
        assert is_running(child)
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


FORKED = """
import os, sys, rollcage
assert rollcage.judge("print(1)", cases=[("", "1")]).score == 1.0
server = rollcage.default_client()._transport.endpoint
parents = {sock.fileno(): os.fstat(sock.fileno()).st_ino for sock in rollcage.default_client()._transport._pool._open}
child = os.fork()
if child == 0:
    for fileno, inode in parents.items():
        try:
            assert os.fstat(fileno).st_ino != inode, "the child holds a connection of its parent"
        except OSError:
            pass
    ok = rollcage.judge("print(1)", cases=[("", "1")]).score == 1.0 and server._server.owner_pid == os.getppid()
    sys.exit(0 if ok else 3)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert rollcage.judge("print(1)", cases=[("", "1")]).score == 1.0
if sys.argv[1] == "orphan":
    reader, writer = os.pipe()
    gone_reader, gone_writer = os.pipe()
    if os.fork() == 0:
        os.close(gone_writer)
        os.read(gone_reader, 1)
        # The server is its parent's, and gone or about to go; what it needs now is its own.
        while server._server is not None and os.path.exists(server._server.socket_path):
            pass
        score = rollcage.judge("print(1)", cases=[("", "1")]).score
        own = server._server.owner_pid == os.getpid()
        rollcage.shutdown()
        print(score, own, flush=True)
        os._exit(0)
"""


def test_a_forked_child_shares_the_server_and_no_connection(binary: Path) -> None:
    ended = run_python(FORKED, "-", ROLLCAGE_BINARY=str(binary))
    assert ended.returncode == 0, ended.stderr


def test_a_child_that_outlives_its_parent_starts_its_own_server(binary: Path) -> None:
    ended = run_python(FORKED, "orphan", ROLLCAGE_BINARY=str(binary))
    assert (ended.returncode, ended.stdout) == (0, "1.0 True\n"), ended.stderr


POOLED = """
import multiprocessing, sys, rollcage

def judge(n):
    return rollcage.judge(f"print({n % 2})", cases=[("", "1")]).score

if __name__ == "__main__":
    assert judge(1) == 1.0
    if sys.argv[2] == "shared":
        rollcage.share_server()
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        assert pool.map(judge, range(8)) == [0.0, 1.0] * 4
"""


@pytest.mark.parametrize("start, sharing", [("fork", "-"), ("spawn", "-"), ("spawn", "shared"), ("forkserver", "-")])
def test_pools_of_processes(binary: Path, tmp_path: Path, start: str, sharing: str) -> None:
    script = tmp_path / "pooled.py"
    script.write_text(POOLED)
    ended = subprocess.run(
        [sys.executable, str(script), start, sharing],
        env={**os.environ, "ROLLCAGE_BINARY": str(binary)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_interrupts_do_not_reach_the_server(binary: Path) -> None:
    source = """
import os, signal, rollcage
rollcage.run("")
pid = rollcage.default_client()._transport.endpoint._server.pid
try:
    os.killpg(os.getpgid(0), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    pass
assert rollcage.run("print(1)").stdout == "1\\n"
assert rollcage.default_client()._transport.endpoint._server.pid == pid
"""
    process = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "ROLLCAGE_BINARY": str(binary)},
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert process.returncode == 0, process.stderr


def test_left_over_directories_are_removed(binary: Path, tmp_path: Path) -> None:
    env = {"ROLLCAGE_BINARY": str(binary), "TMPDIR": str(tmp_path)}
    killed = run_python(PRINT_PID + "import os; os.kill(os.getpid(), 9)", **env)
    [left] = tmp_path.glob("rollcage-python-*")
    # A server that ends removes its socket, and what was left over would be young again.
    until(lambda: not is_running(int(killed.stdout)))
    os.utime(left, (0, 0))
    run_python(PRINT_PID, **env)
    assert list(tmp_path.glob("rollcage-python-*")) == []


def test_nothing_is_left_open(client: rollcage.Client) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        asyncio.run(rollcage.AsyncClient.sharing(client).run("print(1)"))
        client.run("print(1)")
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_an_unscorable_problem_has_no_score(client: rollcage.Client) -> None:
    too_large = {"cases": [{"expected": "1"}], "files": {"table": "x" * 100_000}, "limits": {"disk": 10_000}}
    judged = client.judge("print(1)", problem=too_large)
    assert isinstance(judged, Unscorable) and (judged.blame, judged.retryable) == ("problem", False)
    with pytest.raises(rollcage.UnscorableError, match="table"):
        judged.score
