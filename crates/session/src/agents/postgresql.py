"""The agent of a PostgreSQL session: starts a server of its own in the cage, runs statements in one connection to it, and answers as
the agent of a Python session does.

The server is the machine's, the youngest there is; its cluster is made below the session's /tmp, and nobody else can reach it. It is
spoken to by way of libpq.
"""

import ctypes
import select
import subprocess

PLACE = "/tmp/postgresql"
# Of a server for one program: little memory, few processes, and nothing that outlives the session needs to be on a disk.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": PLACE,
    "shared_buffers": "4MB",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "8",
    "max_worker_processes": "0",
    "max_parallel_workers": "0",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "min_wal_size": "2MB",
    "max_wal_size": "8MB",
    "fsync": "off",
    "autovacuum": "off",
    "log_min_messages": "panic",
}
# Types by their numbers, see pg_type.dat: the table's name of each, and what reads its text.
INTEGER, NUMBER, TRUTH = ("integer", int), ("number", float), ("boolean", lambda text: text == "t")
# Exact, which a float would not be.
DECIMAL = ("number", str)
KINDS = {
    16: TRUTH,
    20: INTEGER,
    21: INTEGER,
    23: INTEGER,
    26: INTEGER,
    700: NUMBER,
    701: NUMBER,
    1700: DECIMAL,
    1082: ("date", str),
    1083: ("time", str),
    1114: ("datetime", str),
    1184: ("datetime", str),
    1186: ("duration", str),
}
KINDS.update({number: ("string", str) for number in (17, 18, 19, 25, 1042, 1043, 2950)})
COPY_OUT, COPY_IN, FATAL_ERROR, SINGLE_TUPLE, TUPLES_OK = 3, 4, 7, 9, 2
SQLSTATE = ord("C")


def library():
    """libpq, with the types of what is called."""
    pq = ctypes.CDLL("libpq.so.5")
    pointers = ("PQconnectdb", "PQgetResult", "PQgetCancel")
    texts = ("PQerrorMessage", "PQresultErrorMessage", "PQresultErrorField", "PQfname")
    for name in pointers:
        getattr(pq, name).restype = ctypes.c_void_p
    for name in texts:
        getattr(pq, name).restype = ctypes.c_char_p
    pq.PQgetvalue.restype = ctypes.c_void_p
    return pq


class Server:
    def __init__(self):
        programs = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
        cluster = f"{PLACE}/data"
        os.makedirs(PLACE, 0o700)
        make = ["initdb", "-D", cluster, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        make = [f"{programs}/{make[0]}", *make[1:], "--wal-segsize=1"]
        made = subprocess.run(make, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode != 0:
            raise RuntimeError(made.stdout.decode("utf-8", "replace"))
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        with open(f"{PLACE}/log", "wb") as log:
            # A group of its own, so that nothing but the session's end ends it.
            self.process = subprocess.Popen(
                [f"{programs}/postgres", "-D", cluster, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self):
        with open(f"{PLACE}/log", errors="replace") as log:
            return log.read()


class Failure(Exception):
    """A statement failed; the server says how."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Connection:
    def __init__(self, server):
        self.pq = library()
        target = f"host={PLACE} user=postgres dbname=postgres client_encoding=UTF8".encode()
        while True:
            self.handle = ctypes.c_void_p(self.pq.PQconnectdb(target))
            if self.pq.PQstatus(self.handle) == 0:
                break
            said = self.pq.PQerrorMessage(self.handle)
            self.pq.PQfinish(self.handle)
            # It takes a moment to listen; if it has ended it never will.
            try:
                server.process.wait(0.005)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(server.said() or said.decode("utf-8", "replace"))
        self.stop = ctypes.c_void_p(self.pq.PQgetCancel(self.handle))

    def results(self, statement):
        """Row by row, so that what is beyond the bounds is held nowhere."""
        if not self.pq.PQsendQuery(self.handle, statement.encode()):
            raise Failure("08006", self.pq.PQerrorMessage(self.handle).decode("utf-8", "replace"))
        self.pq.PQsetSingleRowMode(self.handle)
        while True:
            self.wait()
            result = ctypes.c_void_p(self.pq.PQgetResult(self.handle))
            if not result:
                return
            yield result
            self.pq.PQclear(result)

    def copied(self):
        """What a COPY gives, piece by piece."""
        some = ctypes.c_void_p()
        while (length := self.pq.PQgetCopyData(self.handle, ctypes.byref(some), 1)) >= 0:
            if length == 0:
                self.hear()
                continue
            piece = ctypes.string_at(some, length)
            self.pq.PQfreemem(some)
            yield piece

    def wait(self):
        while self.pq.PQisBusy(self.handle):
            self.hear()

    def hear(self):
        """Waits for more from the server: in Python, where a signal is heard."""
        select.select([self.pq.PQsocket(self.handle)], [], [])
        if not self.pq.PQconsumeInput(self.handle):
            raise Failure("08006", self.pq.PQerrorMessage(self.handle).decode("utf-8", "replace"))

    def is_lost(self):
        return self.pq.PQstatus(self.handle) != 0

    def cancel(self):
        self.pq.PQcancel(self.stop, ctypes.create_string_buffer(256), 256)

    def value(self, result, row, column):
        if self.pq.PQgetisnull(result, row, column):
            return None
        length = self.pq.PQgetlength(result, row, column)
        return ctypes.string_at(self.pq.PQgetvalue(result, row, column), length).decode("utf-8", "replace")


class Agent(Statements):
    def __init__(self):
        self.channel = Channel()
        self.output = keep_aside(1)
        self.interrupted = False

    def take_up(self):
        dup2(posix.open(os.devnull, posix.O_RDONLY), 0)
        self.connection = Connection(Server())
        if self.channel.line() is None:
            return False
        set_handler(SIGINT, self.on_interrupt)
        self.channel.say(b"ready", b"")
        return True

    def branch(self):
        self.channel.say(b"refused", b"it has a server beside it")

    def run(self, source):
        try:
            for statement in statements(source):
                self.execute(statement)
                self.heed_interrupt()
            return "returned"
        except Failure as error:
            print(error, end="", file=sys.stderr, flush=True)
            if self.connection.is_lost():
                # And with it what it had begun, its temporary tables and its settings.
                leave(1)
            return f"raised {error.code}"

    def heed_interrupt(self):
        if self.interrupted:
            raise Failure("57014", "ERROR:  canceling statement due to user request\n")

    def execute(self, statement):
        connection, rows, kinds, failure = self.connection, None, [], None
        pq = connection.pq
        for result in connection.results(statement):
            status = pq.PQresultStatus(result)
            if status in (SINGLE_TUPLE, TUPLES_OK):
                columns = range(pq.PQnfields(result))
                if rows is None:
                    kinds = [KINDS.get(pq.PQftype(result, column), ("any", str)) for column in columns]
                    rows = Rows([pq.PQfname(result, column).decode("utf-8", "replace") for column in columns], "")
                if status == SINGLE_TUPLE:
                    values = (connection.value(result, 0, column) for column in columns)
                    rows.add([None if text is None else read(text) for text, (_, read) in zip(values, kinds)])
            elif status == COPY_OUT:
                for rest in connection.copied():
                    while rest:
                        rest = rest[write(self.output, rest) :]
            elif status == COPY_IN:
                pq.PQputCopyEnd(connection.handle, b"a cell has no such input")
            elif status == FATAL_ERROR:
                code = (pq.PQresultErrorField(result, SQLSTATE) or b"08006").decode()
                failure = Failure(code, pq.PQresultErrorMessage(result).decode("utf-8", "replace"))
        if failure:
            raise failure
        if rows is not None:
            rows.show(self.channel, self.output, [name for name, _ in kinds])

    def on_interrupt(self, _signal, _frame):
        self.interrupted = True
        self.connection.cancel()


def statements(source):
    """The statements of a cell, each of which is one transaction unless it says otherwise; see the manual's chapter on lexical
    structure. What comes after the last semicolon is one too."""
    begin, at, depth = 0, 0, 0
    while at < len(source):
        if source[at] == ";" and depth == 0:
            yield source[begin:at]
            begin = at = at + 1
            continue
        depth += {"(": 1, ")": -1}.get(source[at], 0)
        at = after(source, at)
    yield source[begin:]


def after(source, at):
    """Where what begins here ends: a comment, a quoted text, or one character."""

    def past(mark, start):
        found = source.find(mark, start)
        return len(source) if found < 0 else found + len(mark)

    if source.startswith("--", at):
        return past("\n", at)
    if source.startswith("/*", at):
        depth = 1
        at += 2
        while depth and at < len(source):
            mark = source[at : at + 2]
            depth += {"/*": 1, "*/": -1}.get(mark, 0)
            at += 2 if mark in ("/*", "*/") else 1
        return at
    if source[at] in "'\"":
        # Doubled quotes are two texts side by side.
        has_escapes = source[at] == "'" and source[max(at - 1, 0) : at] in ("e", "E") and not word_ends(source, at - 1)
        start = at + 1
        while has_escapes and start < len(source) and source[start] != "'":
            start += 2 if source[start] == "\\" else 1
        return past(source[at], start)
    if source[at] == "$" and not word_ends(source, at):
        end = source.find("$", at + 1)
        tag = source[at : end + 1]
        if end > 0 and (tag == "$$" or tag[1:-1].isidentifier()):
            return past(tag, end + 1)
    return at + 1


def word_ends(source, at):
    """Whether a word ends right before here, of which what is here is then a part."""
    return at > 0 and (source[at - 1].isalnum() or source[at - 1] in "_$")


live(Agent())
