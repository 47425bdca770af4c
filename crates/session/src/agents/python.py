"""The agent of a Python session: reads cells from a socket, runs them in one namespace, and answers there.

It is given on the command line, and stops at its fork point, the opening of a file that is never there. What it is sent:
`session SEED FLAGS`, then `cell NUMBER BYTES INPUT_BYTES` with so many bytes of source and of standard input, and to a
question `answer BYTES` or `refuse 0`, which may be late for whoever asked. What it says: `KIND BYTES` and so many bytes, of the
kinds `ready`, `result` and `display` (MIME bundles as JSON), `input` (a question) and `done` (the cell's number, and how it ended).
All numbers are decimal, and each line ends with a newline.

Cells are compiled as they are, never edited. Modules that a cell may shadow or patch are imported before the first cell.
"""

import __future__
import _ast
import ctypes
import linecache
import traceback

ALLOW_AWAIT = _ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
CO_COROUTINE = 0x80
FUTURE_FLAGS = 0
for _feature in __future__.all_feature_names:
    FUTURE_FLAGS |= getattr(__future__, _feature).compiler_flag
ROWS_MAX = 100
# What a coroutine has to clean up when its cell is interrupted.
CANCEL_S = 1
print_exception, sources = traceback.print_exception, linecache.cache
flush_libraries = ctypes.CDLL(None).fflush


class Interpreter:
    """What cells share: one namespace, called __main__, and the compiler flags of `from __future__`."""

    def __init__(self):
        self.module = type(sys)("__main__")
        self.namespace = self.module.__dict__
        self.namespace["__builtins__"] = __builtins__
        self.flags = 0
        self.loop = None
        self.running = False

    def run(self, name, source):
        """Runs one cell and returns how it ended, in words, and the exit code that goes with it."""
        sources[name] = len(source), None, source.splitlines(True), name
        try:
            try:
                self.running = True
                for code in self.compile(source, name):
                    if code.co_flags & CO_COROUTINE:
                        self.wait_for(eval(code, self.namespace))
                    else:
                        exec(code, self.namespace)
            finally:
                self.running = False
            return "returned", 0
        except SystemExit as error:
            code = exit_code(error)
            return f"exited {code}", code
        except BaseException as error:
            show(error)
            return "raised " + ascii(type(error).__name__)[1:-1].replace(" ", "_")[:80], 1

    def compile(self, source, name):
        """The cell's code. A last line that is an expression is compiled as at the prompt, which shows it."""
        flags = self.flags | ALLOW_AWAIT
        tree = compile(source, name, "exec", flags | _ast.PyCF_ONLY_AST, dont_inherit=True)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
        codes = []
        if tree.body or last is None:
            codes.append(compile(tree, name, "exec", flags, dont_inherit=True))
            self.flags |= codes[0].co_flags & FUTURE_FLAGS
        if last is not None:
            flags = self.flags | ALLOW_AWAIT
            codes.append(compile(_ast.Interactive([last]), name, "single", flags, dont_inherit=True))
        return codes

    def wait_for(self, coroutine):
        """Runs a cell that awaits, in an event loop that all such cells share."""
        import asyncio

        if self.loop is None or self.loop.is_closed():
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        task = self.loop.create_task(coroutine)
        try:
            self.loop.run_until_complete(task)
        finally:
            # One that was interrupted would go on in the next cell.
            if not task.done():
                task.cancel()
                self.loop.run_until_complete(asyncio.wait([task], timeout=CANCEL_S))


class Display:
    """Shows values: as text on standard output, as at the prompt, and in every form they have over the channel."""

    FORMS = (
        ("text/html", "_repr_html_"),
        ("text/markdown", "_repr_markdown_"),
        ("text/latex", "_repr_latex_"),
        ("image/svg+xml", "_repr_svg_"),
        ("application/json", "_repr_json_"),
        ("image/png", "_repr_png_"),
        ("image/jpeg", "_repr_jpeg_"),
    )
    PLAIN = frozenset((int, float, complex, str, bytes, bool, list, tuple, dict, set, frozenset))

    def __init__(self, channel):
        self.channel = channel

    def hook(self, value):
        """In place of `sys.displayhook`."""
        if value is None:
            return
        builtins = modules["builtins"]
        builtins._ = None
        text = repr(value)
        sys.stdout.write(text + "\n")
        builtins._ = value
        self.tell(b"result", value, text)

    def show(self, *values):
        """The function `display` that cells find."""
        for value in values:
            text = value if isinstance(value, str) else repr(value)
            sys.stdout.write(text + "\n")
            self.tell(b"display", value, text)

    def tell(self, kind, value, text):
        if type(value) in self.PLAIN:
            self.channel.say(kind, b'{"text/plain":%s}' % quote(text).encode())
            return
        bundle = {"text/plain": text}
        for form, method in self.FORMS:
            method = None if isinstance(value, type) else getattr(value, method, None)
            if method is None:
                continue
            try:
                content = method()
            except Exception:
                continue
            if isinstance(content, tuple):
                content = content[0]
            if content is not None:
                bundle[form] = content
        table = type(value).__module__.partition(".")[0] == "pandas" and getattr(value, "to_json", None)
        if table and type(value).__name__ == "DataFrame":
            try:
                bundle["application/vnd.dataresource+json"] = Raw(value.head(ROWS_MAX).to_json(orient="table"))
            except Exception:
                pass
        self.send(kind, bundle)

    def send(self, kind, bundle):
        parts = []
        for form, content in bundle.items():
            try:
                parts.append(f"{quote(form)}:{encode(content)}")
            except (TypeError, ValueError):
                pass
        self.channel.say(kind, b"{%s}" % ",".join(parts).encode("utf-8", "replace"))

    def figures(self):
        """Shows the figures that a cell left open, and closes them."""
        pyplot = modules.get("matplotlib.pyplot")
        if pyplot is None or not hasattr(pyplot, "get_fignums"):
            return
        for number in pyplot.get_fignums():
            try:
                import io

                figure, file = pyplot.figure(number), io.BytesIO()
                figure.savefig(file, format="png", bbox_inches="tight")
                self.send(b"display", {"text/plain": repr(figure), "image/png": file.getvalue()})
            finally:
                pyplot.close(number)


class Raw(str):
    """JSON already."""


def encode(content):
    """A value of a MIME bundle: text as it is, bytes in base64."""
    if isinstance(content, Raw):
        return content
    if isinstance(content, str):
        return quote(content)
    if isinstance(content, (bytes, bytearray)):
        import binascii

        return quote(binascii.b2a_base64(content, newline=False).decode())
    import json

    return json.dumps(content)


def exit_code(error):
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def show(error):
    """Prints a traceback of the cell's own frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    # Nor does it end in the handler of an interrupt.
    last = trace
    while last is not None and last.tb_next is not None:
        if last.tb_next.tb_frame.f_globals is globals():
            last.tb_next = None
        last = last.tb_next
    error = error.with_traceback(trace)
    try:
        if sys.excepthook is not sys.__excepthook__:
            sys.excepthook(type(error), error, trace)
        else:
            print_exception(type(error), error, trace)
    except Exception:
        sys.__excepthook__(type(error), error, trace)


class Agent:
    def __init__(self):
        self.interpreter = Interpreter()
        self.stdin = sys.stdin

    def prepare(self):
        """Does all that a cell will need once, so that what is compiled and imported for it is there."""
        self.channel = None
        self.flush()
        for source in ("1", "x = 1\nx", "1/0", "def f(:"):
            errors, sys.stderr = sys.stderr, open(os.devnull, "w")
            hook, sys.displayhook = sys.displayhook, lambda value: None
            self.interpreter.run("<cell 0>", source)
            sys.stderr.close()
            sys.stderr, sys.displayhook = errors, hook
        sources.clear()
        self.interpreter = Interpreter()
        self.on_interrupt(SIGINT, None)

    def take_up(self):
        """In the session's own process."""
        self.process = getpid()
        self.channel = Channel()
        self.kept = [keep_aside(descriptor) for descriptor in (1, 2)]
        self.nothing = posix.open(os.devnull, posix.O_RDONLY | posix.O_CLOEXEC)
        dup2(self.nothing, 0)
        words = self.channel.line()
        if words is None:
            return False
        seed, self.asks = int(words[1]), words[2] == "asks"
        display = Display(self.channel)
        self.display = display
        sys.displayhook = display.hook
        builtins = modules["builtins"]
        builtins.display = display.show
        self.input, builtins.input = builtins.input, self.ask
        modules["__main__"] = self.interpreter.module
        sys.argv = [""]
        seed_what_is_imported(seed, {})
        set_handler(SIGINT, self.on_interrupt)
        self.channel.say(b"ready", b"")
        return True

    def serve(self):
        """Runs cells until there are none. A handler that a cell left behind may raise at any step of this: that is shown, and the
        step is taken again."""
        cell, ended, written = None, None, []
        while True:
            try:
                if cell is None:
                    cell = self.channel.order(self.branch)
                    if cell is None:
                        return
                if ended is None:
                    self.begin(cell[2])
                    ended = self.interpreter.run(f"<cell {cell[0]}>", cell[1].decode())
                if not written:
                    self.end(ended[1])
                    self.channel.say(b"done", f"{cell[0]} {ended[0]}".encode(), written)
                cell, ended, written = None, None, []
            except BaseException as error:
                # The socket's own, which has a number, comes again.
                if getattr(error, "errno", None) is not None:
                    raise
                self.show_late(error)

    def show_late(self, error):
        try:
            show(error)
        except BaseException:
            pass

    def branch(self):
        if make_branch(self.channel, self.kept):
            self.process = getpid()

    def begin(self, stdin):
        """Gives a cell descriptors 0, 1 and 2 of its own, whatever the last one did to them."""
        dup2(self.kept[0], 1)
        dup2(self.kept[1], 2)
        self.has_input = bool(stdin)
        if stdin:
            file = posix.memfd_create("input", posix.MFD_CLOEXEC)
            rest = stdin
            while rest:
                rest = rest[write(file, rest) :]
            posix.lseek(file, 0, 0)
            dup2(file, 0)
            posix.close(file)
        else:
            dup2(self.nothing, 0)
        if sys.stdin is self.stdin and self.stdin is not None:
            # What the last cell left in the buffer is forgotten; a stream that a cell installed itself stays.
            fresh = open(0, encoding=self.stdin.encoding, errors=self.stdin.errors, closefd=False)
            self.stdin = sys.stdin = sys.__stdin__ = fresh
        set_handler(SIGINT, self.on_interrupt)

    def end(self, code):
        if getpid() != self.process:
            self.flush()
            leave(code)  # A child that the cell forked and that fell off the cell's end.
        try:
            self.display.figures()
        except Exception as error:
            show(error)
        self.flush()
        if self.has_input:
            dup2(self.nothing, 0)

    def on_interrupt(self, _signal, _frame):
        # One that comes when the cell has ended is too late.
        if self.interpreter.running:
            raise KeyboardInterrupt

    def ask(self, prompt="", /):
        """In place of `input`, where standard input has nothing."""
        if self.has_input or not self.asks or sys.stdin is not self.stdin:
            return self.input(prompt)
        self.flush()
        answer = self.channel.ask(str(prompt).encode())
        if answer is None:
            raise EOFError("nobody answers the input of this session")
        return answer.decode()

    def flush(self):
        """Empties Python's buffers, and C's, which libraries may have filled."""
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()
            except Exception:
                pass
        flush_libraries(None)


def main():
    agent = Agent()
    agent.prepare()
    stop_to_be_copied()
    live(agent)


main()
