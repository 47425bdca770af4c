"""The agent of an SQLite session: runs statements in one connection, and answers as the agent of a Python session does.

The database is the one file in the workspace that is named like one, or else in memory. A statement that gives rows writes
them to standard output as a table, and as a table with its types over the channel: within bounds, and it says how many it
left out.
"""

import sqlite3

NAMES = ("*.db", "*.sqlite", "*.sqlite3")
# Virtual machine instructions between two looks at whether an interrupt has come.
INSTRUCTIONS = 20000
KINDS = {int: "integer", float: "number", str: "string", bytes: "string", type(None): "any"}


class Agent(Statements):
    def take_up(self):
        self.channel = Channel()
        self.kept = [keep_aside(descriptor) for descriptor in (1, 2)]
        if self.channel.line() is None:
            return False
        dup2(posix.open(os.devnull, posix.O_RDONLY), 0)
        self.connection = sqlite3.connect(database_in_workspace(NAMES), isolation_level=None)
        self.connection.set_progress_handler(self.on_progress, INSTRUCTIONS)
        # Text that is not UTF-8 is shown as far as it can be.
        self.connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
        set_handler(SIGINT, self.on_interrupt)
        self.channel.say(b"ready", b"")
        return True

    def branch(self):
        make_branch(self.channel, self.kept)

    def statements(self, source):
        return statements(source)

    def execute(self, statement):
        cursor = self.connection.execute(statement)
        if cursor.description is None:
            return
        rows = Rows([column[0] for column in cursor.description], "")
        for row in cursor:
            rows.add(row)
        rows.show(self.channel, self.kept[0], kinds(rows))

    def on_interrupt(self, _signal, _frame):
        self.interrupted = True

    def on_progress(self):
        return 1 if self.interrupted else 0


def statements(source):
    """The statements of a cell; what comes after the last semicolon is one too."""
    begun = ""
    for part in source.split(";"):
        begun += part
        if sqlite3.complete_statement(begun + ";"):
            if begun.strip():
                yield begun
            begun = ""
        else:
            begun += ";"
    if begun.strip("; \n\t\r"):
        yield begun.removesuffix(";")


def kinds(rows):
    """The types of what is there: columns have none that a value must be of."""

    def kind(index):
        found = {KINDS[type(row[index])] for row in rows.kept if row[index] is not None}
        return found.pop() if len(found) == 1 else "any"

    return [kind(index) for index in range(len(rows.names))]


def prepare():
    """Does all that a statement will need once, so that what is imported for it is there."""
    connection = sqlite3.connect(":memory:")
    rows = Rows(["a", "b", "c", "d"], "")
    rows.add(connection.execute("select 1, 'a', 2.5, null").fetchone())
    connection.close()
    rows.table(kinds(rows))
    list(statements("select 1; select 2"))


def main():
    prepare()
    stop_to_be_copied()
    live(Agent())


main()
