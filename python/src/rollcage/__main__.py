"""`python -m rollcage …` is the `rollcage` command."""

import os
import sys

from ._binary import find_binary
from .errors import BinaryNotFound


def main() -> None:
    """Becomes the command, with the arguments as given."""
    try:
        binary = str(find_binary())
    except BinaryNotFound as error:
        sys.exit(str(error))
    os.execv(binary, [binary, *sys.argv[1:]])


if __name__ == "__main__":
    main()
