"""What the agents of databases share: cells that are statements, and how rows are shown: as lines of text, and as a table with its
types over the channel."""

import glob

ROWS_MAX = 1000
BYTES_MAX = 1 << 20
LARGEST = sys.float_info.max


class Rows:
    """Rows of one statement, within bounds; of what is beyond them there is a count."""

    def __init__(self, names, null):
        self.names, self.null = names, null
        self.kept, self.size, self.omitted = [], 0, 0

    def add(self, row):
        if len(self.kept) < ROWS_MAX and self.size <= BYTES_MAX:
            self.size += sum(map(size, row))
            if self.size <= BYTES_MAX:
                self.kept.append(row)
                return
        self.omitted += 1

    def show(self, channel, output, kinds):
        """`kinds` are the types of the columns, in the terms of the table's form."""
        lines = ["|".join(self.names), *("|".join(self.text(value) for value in row) for row in self.kept)]
        if self.omitted:
            lines.append(f"({self.omitted} more rows)")
        rest = ("\n".join(lines) + "\n").encode("utf-8", "replace")
        while rest:
            rest = rest[write(output, rest) :]
        channel.say(b"result", self.table(kinds).encode())

    def text(self, value):
        if value is None:
            return self.null
        return value.hex() if isinstance(value, bytes) else str(value)

    def table(self, kinds):
        """In the form of https://specs.frictionlessdata.io/tabular-data-resource, with bytes as hexadecimal digits."""
        import json

        def plain(value):
            if isinstance(value, bytes):
                return value.hex()
            # JSON has no such numbers.
            return str(value) if isinstance(value, float) and not -LARGEST <= value <= LARGEST else value

        fields = [{"name": name, "type": kind} for name, kind in zip(self.names, kinds)]
        data = [[plain(value) for value in row] for row in self.kept]
        content = {"schema": {"fields": fields}, "data": data, "rows_omitted": self.omitted}
        rows = f"{len(self.kept) + self.omitted} rows"
        return json.dumps({"text/plain": rows, "application/vnd.dataresource+json": content}, default=str)


def size(value):
    """About as many bytes as are shown of it. What has parts may have any number of them."""
    if isinstance(value, (str, bytes)):
        return len(value)
    return len(str(value)) if isinstance(value, (list, tuple, dict)) else 8


class Interrupted(Exception):
    """The cell was interrupted, and its statements are not gone on with."""


class Statements:
    """An agent whose cells are statements. Others say what these are, how one is executed, and what an interrupt does."""

    def serve(self):
        while (cell := self.channel.order(self.branch)) is not None:
            number, source, _stdin = cell
            self.interrupted = False
            # A character of no statement; some libraries take it for the end of the text.
            ending = self.run(source.decode("utf-8", "replace").replace("\0", ""))
            self.channel.say(b"done", f"{number} {ending}".encode())

    def run(self, source):
        try:
            for statement in self.statements(source):
                self.execute(statement)
                # Databases look for it now and then in a long statement, and in a short one never.
                self.heed_interrupt()
            return "returned"
        except Exception as error:
            kind = "Interrupted" if self.interrupted else type(error).__name__
            print(f"{kind}: {error}", file=sys.stderr, flush=True)
            return f"raised {kind}"

    def heed_interrupt(self):
        if self.interrupted:
            raise Interrupted("the cell was interrupted")


def database_in_workspace(patterns):
    """The one file that is named like a database; else it is in memory."""
    found = [name for pattern in patterns for name in glob.glob(pattern)]
    return found[0] if len(found) == 1 else ":memory:"


