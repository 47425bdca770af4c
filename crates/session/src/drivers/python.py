"""Runs the earlier cells of a session without a sound, then its newest cell.

Files beside this one: `plan` holds the seed, then the number of each cell to run, the newest last, one per
line; `cells/N.py` and `cells/N.stdin` are the cells and what they read; to `report` goes how each cell ended.

Silence is kept at the descriptor level: while earlier cells run, 1 and 2 are /dev/null and 0 is the input the
cell had, so that C libraries and child processes keep silent too. Cells are compiled as they are, never edited.

Modules that a cell may shadow or patch are imported late or not at all: `posix` and `_ast` are built in.
"""

import __future__
import _ast
import fcntl
import os
import posix
import sys

HOME = os.path.dirname(os.path.abspath(__file__))
# Descriptors kept aside lie high, so that cells get the numbers they would get without us.
KEPT_DESCRIPTORS_FROM = 64
REPORT = []
FUTURE_FLAGS = 0
for _feature in __future__.all_feature_names:
    FUTURE_FLAGS |= getattr(__future__, _feature).compiler_flag


class Interpreter:
    """What cells share: one namespace, called __main__, and the compiler flags of `from __future__`."""

    def __init__(self):
        self.module = type(sys)("__main__")
        self.namespace = self.module.__dict__
        self.namespace["__builtins__"] = __builtins__
        self.flags = 0
        self.sources = {}
        self.stdin = sys.stdin
        sys.modules["__main__"] = self.module
        sys.argv = [""]
        # As in an interactive interpreter the current directory comes first, whatever it is at the time.
        if sys.path and sys.path[0] == HOME:
            sys.path[0] = ""

    def run(self, number, source):
        """Runs one cell and returns how it ended, in words, and the exit code that goes with it."""
        name = f"<cell {number}>"
        self.sources[name] = source
        if "linecache" in sys.modules:
            self.show_sources(sys.modules["linecache"])
        try:
            for code in self.compile(source, name):
                exec(code, self.namespace)
            return "returned", 0
        except SystemExit as error:
            code = exit_code(error)
            return f"exited {code}", code
        except BaseException as error:
            show(error)
            return "raised " + ascii(type(error).__name__)[1:-1].replace(" ", "_")[:80], 1

    def compile(self, source, name):
        """The cell's code. A last line that is an expression is compiled as at the prompt, which prints it."""
        tree = compile(source, name, "exec", self.flags | _ast.PyCF_ONLY_AST, dont_inherit=True)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
        codes = [compile(tree, name, "exec", self.flags, dont_inherit=True)]
        flags = self.flags | codes[0].co_flags & FUTURE_FLAGS
        if last is not None:
            codes.append(compile(_ast.Interactive([last]), name, "single", flags, dont_inherit=True))
        self.flags = flags
        return codes

    def renew_stdin(self):
        """Forgets what the last cell left in the buffer; a stream that a cell installed itself stays."""
        if sys.stdin is self.stdin:
            fresh = open(0, encoding=self.stdin.encoding, errors=self.stdin.errors, closefd=False)
            self.stdin = sys.stdin = sys.__stdin__ = fresh

    def show_sources(self, linecache):
        for name, source in self.sources.items():
            linecache.cache[name] = len(source), None, source.splitlines(True), name


def exit_code(error):
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def show(error):
    """Prints a traceback that begins with the cell's first frame."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    error = error.with_traceback(trace)
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, trace)
        return
    # A file of the cell's that is called `re.py` must not stand in for what `traceback` needs.
    path = sys.path[:]
    try:
        sys.path[:] = [entry for entry in path if entry not in ("", ".", os.getcwd())]
        import traceback

        traceback.print_exception(type(error), error, trace)
    except Exception:
        sys.__excepthook__(type(error), error, trace)
    finally:
        sys.path[:] = path


def flush():
    """Empties Python's buffers and, where a module from outside the library may have filled them, C's."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except Exception:
            pass
    library = os.path.dirname(os.__file__)
    files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    if "_ctypes" in sys.modules or any(
        isinstance(file, str) and file.endswith(".so") and not file.startswith(library + "/lib-dynload")
        for file in files
    ):
        try:
            import ctypes

            ctypes.CDLL(None).fflush(None)
        except Exception:
            pass


def report(line):
    """Adds a line. Writes the whole report each time, because a cell may have cleared the workspace."""
    REPORT.append(line + "\n")
    try:
        posix.mkdir(HOME, 0o700)
    except OSError:
        pass
    try:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        descriptor = posix.open(HOME + "/report", flags, 0o600)
        posix.write(descriptor, "".join(REPORT).encode())
        posix.close(descriptor)
    except OSError:
        pass  # Without a report the cell counts as one that ended the interpreter.


def silence(path, content):
    """Points 0 at an earlier cell's input, which is made again if it is gone, and 1 and 2 at nothing."""
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    for descriptor, file in enumerate((path, "/dev/null", "/dev/null")):
        source = posix.open(file, posix.O_WRONLY if descriptor else posix.O_RDONLY)
        if source != descriptor:
            posix.dup2(source, descriptor)
            posix.close(source)


def read(path):
    with open(HOME + "/" + path, "rb") as file:
        return file.read()


def main():
    # Everything is read before the first cell runs, because a cell may clear the workspace.
    seed, *numbers = [int(line) for line in read("plan").split()]
    cells = [(number, read(f"cells/{number}.py").decode()) for number in numbers]
    inputs = [read(f"cells/{number}.stdin") for number in numbers[:-1]]
    interpreter = Interpreter()
    seed_what_is_imported(seed, {"linecache": interpreter.show_sources})
    process = posix.getpid()
    kept = []
    if len(cells) > 1:
        kept = [fcntl.fcntl(n, fcntl.F_DUPFD_CLOEXEC, KEPT_DESCRIPTORS_FROM) for n in (0, 1, 2)]
    for position, (number, source) in enumerate(cells, start=1):
        if position < len(cells):
            silence(f"{HOME}/cells/{number}.stdin", inputs[position - 1])
        for descriptor, original in enumerate(kept if position == len(cells) else []):
            posix.dup2(original, descriptor)
            posix.close(original)
        if position > 1:
            interpreter.renew_stdin()
        report(f"{number} start")
        ending, code = interpreter.run(number, source)
        flush()
        if posix.getpid() != process:
            posix._exit(code)  # A child that the cell forked and that fell off the cell's end.
        report(f"{number} end {ending}")
    # The session goes on: finalisation and `atexit` belong to its end, not to the end of a turn.
    posix._exit(code)


main()
