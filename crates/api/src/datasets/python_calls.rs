//! Calls of a Python function as test code: arguments as lines of JSON, results compared as JSON values.
//!
//! The rules are those of verl's caller of SandboxFusion: one line of the input is one argument; the function is a
//! global or a method of `Solution`; what it returns is what `json.dumps` makes of it, or a text as it is. Unlike there
//! all calls are made in one process, numbers are equal if their values are, and an import of verl's neither hides a
//! method of its name nor passes for an answer. Like all test code, these tests can be read by the program they try.

use std::fmt::Write as _;

use serde_json::Value;

use super::cases::CaseLists;

/// What verl imports before a solution; solutions in its data rely on it. In its order, since later names hide earlier
/// ones.
pub(super) const PRELUDE: &str = "\
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

";

/// What is imported under the name of the function that is asked for can be used, and is not an answer: an empty solution
/// would be one wherever a library has the function. A solution that imports it itself has the library's own.
const STAND_IN: &str = "\
def _rollcage_stand_in(name):
    own = globals().get(name)
    if callable(own) and not isinstance(own, type):
        globals()[name] = _rollcage_imported[name] = lambda *args, **kwargs: own(*args, **kwargs)

";

/// Names begin with an underscore and nothing is imported by name, because a solution may have hidden any of them. JSON
/// is parsed here and not by us: Python keeps integers of any size.
const HARNESS: &str = r#"
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

"#;

/// What stands before a solution that is asked for `function`, the name of one.
pub(super) fn prelude(function: &str) -> String {
    format!("{PRELUDE}{STAND_IN}_rollcage_stand_in(\"{function}\")\n\n")
}

/// The test code of `lists`, whose cases are arguments and results of `function`. Says in a sentence why nothing can be
/// judged by them.
pub(super) fn test_code(function: &str, lists: &CaseLists) -> Result<String, String> {
    let is_name = function.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && function.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!("`fn_name` is `{function}`, which is not the name of a function"));
    }
    // A list may be one argument or all of them: verl's two graders disagree.
    if let Some(place) = lists.inputs.iter().flatten().position(|input| !input.is_string()) {
        return Err(format!("input {} of `{function}` is not text with an argument on each line", place + 1));
    }
    let mut cases = Vec::new();
    for (place, (input, output)) in lists.texts()?.into_iter().enumerate() {
        let arguments: Vec<Value> = input.trim().lines().map(|line| Value::String(line.to_owned())).collect();
        for argument in arguments.iter().filter_map(Value::as_str) {
            serde_json::from_str::<serde::de::IgnoredAny>(argument).map_err(|error| {
                format!("input {} of `{function}` has a line that is not JSON: {error}", place + 1)
            })?;
        }
        let accepted = Value::from(vec![output.trim_end_matches('\n')]);
        cases.push(Value::from(vec![Value::from(arguments), accepted]));
    }
    let mut code = HARNESS.to_owned();
    // A text in JSON's quotes is one in Python's: every escape of the one is an escape of the other.
    let literal = |text: String| Value::String(text).to_string();
    writeln!(
        code,
        "_rollcage_calls({}, {})",
        literal(function.to_owned()),
        literal(Value::from(cases).to_string())
    )
    .expect("writing to a string cannot fail");
    Ok(code)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(function: &str, lists: Value) -> Result<String, String> {
        test_code(function, &CaseLists::read(lists).unwrap())
    }

    #[test]
    fn calls_are_kept_to_the_last_digit() {
        let big = "123456789012345678901234567890";
        let code =
            code("f", json!({"inputs": [format!("{big}\n\"a\"\n"), ""], "outputs": [big, "x\n"]})).unwrap();
        let last = code.lines().last().unwrap();
        assert_eq!(
            last,
            r#"_rollcage_calls("f", "[[[\"123456789012345678901234567890\",\"\\\"a\\\"\"],[\"123456789012345678901234567890\"]],[[],[\"x\"]]]")"#
        );
    }

    #[test]
    fn the_python_package_judges_by_the_same_text() {
        let module = include_str!("../../../../python/src/rollcage/_calls.py");
        assert!(module.contains(PRELUDE), "the prelude in `_calls.py` is another");
        assert!(module.contains(STAND_IN), "what stands in for imports in `_calls.py` is another");
        assert!(module.contains(HARNESS), "the harness in `_calls.py` is another");
    }

    #[test]
    fn ambiguous_calls_are_refused() {
        for (function, lists, expected) in [
            ("f()", json!({"inputs": ["1"], "outputs": ["1"]}), "`fn_name` is `f()`, which is not"),
            ("f", json!({"inputs": [[1]], "outputs": ["1"]}), "input 1 of `f` is not text with"),
            ("f", json!({"inputs": ["1 2"], "outputs": ["1"]}), "input 1 of `f` has a line that is not JSON"),
            ("f", json!({"inputs": [], "outputs": []}), "it has no test cases"),
        ] {
            let error = code(function, lists).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
