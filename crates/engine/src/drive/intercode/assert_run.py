# Runs definitions and then one assert, all in one namespace; the arguments name their files.
#
# A definition that fails leaves what it had defined, and what definitions print is nobody's: only the assert's own
# output and exception are its outcome. The exception's text is left in a file, and the exception itself ends the
# program, so that how it ended is seen from outside.
import io
import os
import sys

# Definitions may change the directory.
ERROR_FILE = os.path.abspath(".rollcage-exception")


def source(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


*definitions, check = [source(path) for path in sys.argv[1:]]
names = {"__name__": "__main__"}
streams = sys.stdout, sys.stderr
for definition in definitions:
    sys.stdout = sys.stderr = io.StringIO()
    try:
        exec(definition, names)
    except Exception:
        pass
sys.stdout, sys.stderr = streams
try:
    exec(check, names)
except Exception as error:
    with io.open(ERROR_FILE, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(str(error))
    raise
