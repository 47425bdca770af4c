"""The agent of a DuckDB session: runs statements in one connection, and answers as the agent of a Python session does.

The database is the one file in the workspace that is named like one, or else in memory. It has one thread: a session is one
program, and its limits are those of one.
"""

import duckdb

NAMES = ("*.duckdb", "*.db")
ROWS_AT_ONCE = 1000
KINDS = {
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "datetime",
    "FLOAT": "number",
    "DOUBLE": "number",
    "DECIMAL": "number",
    "VARCHAR": "string",
    "UUID": "string",
    "BLOB": "string",
    "INTERVAL": "duration",
}
KINDS.update({f"{sign}{size}INT": "integer" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")})
KINDS.update({"INTEGER": "integer", "UINTEGER": "integer"})


class Agent(Statements):
    def __init__(self):
        self.channel = Channel()
        self.output = keep_aside(1)
        self.interrupted = False

    def take_up(self):
        if self.channel.line() is None:
            return False
        dup2(posix.open(os.devnull, posix.O_RDONLY), 0)
        self.connection = duckdb.connect(database_in_workspace(NAMES), config={"threads": 1})
        set_handler(SIGINT, self.on_interrupt)
        self.channel.say(b"ready", b"")
        return True

    def branch(self):
        self.channel.say(b"refused", b"DuckDB has threads")

    def statements(self, source):
        return duckdb.extract_statements(source)

    def execute(self, statement):
        result = self.connection.execute(statement)
        columns = result.description or []
        is_query = statement.expected_result_type == [duckdb.ExpectedResultType.QUERY_RESULT]
        # What changes rows says how many, unless it is asked to return them.
        if not is_query and [column[0] for column in columns] in ([], ["Count"], ["Success"]):
            return
        rows = Rows([column[0] for column in columns], "NULL")
        while some := result.fetchmany(ROWS_AT_ONCE):
            for row in some:
                rows.add(row)
            self.heed_interrupt()
        kinds = (str(column[1]) for column in columns)
        # DECIMAL(18,3) is one.
        kinds = [KINDS.get(kind.partition("(")[0], "any") for kind in kinds]
        rows.show(self.channel, self.output, kinds)

    def on_interrupt(self, _signal, _frame):
        self.interrupted = True
        self.connection.interrupt()


live(Agent())
