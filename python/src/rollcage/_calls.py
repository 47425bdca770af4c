"""Calls of a Python function as test code, by the rules of verl's caller of SandboxFusion.

The texts are those by which `rollcage eval` judges verl's rows (a test compares them), so that a sample has one reward
whichever way it is judged.
"""

from __future__ import annotations

import json
from typing import Dict, List, Tuple

#: What verl imports before a solution; solutions in its data rely on it.
PRELUDE = """\
import traceback
from string import *
from re import *
from datetime import *
from collections import *
from heapq import *
from bisect import *
from copy import *
from math import *
from random import *
from statistics import *
from itertools import *
from functools import *
from operator import *
from io import *
from sys import *
from json import *
from builtins import *
from typing import *
import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, itertools, functools, operator
import io, sys, json
_rollcage_imported = dict(globals())

"""

_STAND_IN = """\
def _rollcage_stand_in(name):
    own = globals().get(name)
    if callable(own) and not isinstance(own, type):
        globals()[name] = _rollcage_imported[name] = lambda *args, **kwargs: own(*args, **kwargs)

"""

_HARNESS = r'''
def _rollcage_calls(name, cases):
    json = __import__("json")

    def parsed(text):
        try:
            return [json.loads(text)]
        except ValueError:
            return []

    def same(one, other):
        if isinstance(one, bool) or isinstance(other, bool):
            return one is other
        if isinstance(one, (int, float)) and isinstance(other, (int, float)):
            return one == other
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(same, one, other))
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        return type(one) is type(other) and one == other

    for number, (arguments, accepted) in enumerate(json.loads(cases)):
        scope = globals()
        is_own = name in scope and scope[name] is not _rollcage_imported.get(name)
        is_method = not is_own and "Solution" in scope
        if not is_own and not is_method:
            raise NameError("the solution does not define " + name)
        function = getattr(scope["Solution"](), name) if is_method else scope[name]
        result = function(*map(json.loads, arguments))
        try:
            result = json.loads(json.dumps(result))
        except (TypeError, ValueError):
            result = str(result)
        if not any(same(result, value) for text in accepted for value in [text, *parsed(text)]):
            raise AssertionError("call %d returned something else" % (number + 1))

'''

#: Of one call, each argument as JSON, and the results that may come back: text, or JSON of a value.
Call = Tuple[List[str], List[str]]


def calls_row(function: str, calls: List[Call]) -> Dict[str, str]:
    """The problem row of calls of `function`."""
    # Text in JSON's quotes is text in Python's, as long as it is ASCII: halves of characters are two there.
    arguments = f"{json.dumps(function, ensure_ascii=False)}, {json.dumps(json.dumps(calls))}"
    prelude = f'{PRELUDE}{_STAND_IN}_rollcage_stand_in("{function}")\n\n'
    return python_row(f"{_HARNESS}_rollcage_calls({arguments})\n", prelude)


def python_row(test_code: str, prelude: str = PRELUDE) -> Dict[str, str]:
    """The problem row of tests that follow a solution."""
    return {"language": "python", "prefix": prelude, "context": prelude, "test_code": test_code}
