"""How agents of databases show rows: as lines of text, and as a table with its types over the channel."""

ROWS_MAX = 1000
BYTES_MAX = 1 << 20


class Rows:
    """Rows of one statement, within bounds; of what is beyond them there is a count."""

    def __init__(self, names, null):
        self.names, self.null = names, null
        self.kept, self.size, self.omitted = [], 0, 0

    def add(self, row):
        self.size += sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in row)
        if len(self.kept) < ROWS_MAX and self.size <= BYTES_MAX:
            self.kept.append(row)
        else:
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


LARGEST = sys.float_info.max


