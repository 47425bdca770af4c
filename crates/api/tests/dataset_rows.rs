//! APPS and verl rows, and rows of any shape by a mapping of their columns.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use proptest::prelude::*;
use rollcage_api::{ColumnMapping, Dataset, DatasetFormat, DatasetKind, DatasetReader, RowError};
use rollcage_judge::{Checker, FloatTolerance, Tests};
use serde_json::{Value, json};

fn read(format: DatasetFormat, rows: &[Value]) -> Result<Dataset, RowError> {
    let mut reader = DatasetReader::new(format);
    for (place, row) in rows.iter().enumerate() {
        reader.push(place + 1, row.as_object().unwrap().clone())?;
    }
    Ok(reader.finish())
}

fn by_columns(mapping: &str, row: Value) -> Result<Dataset, RowError> {
    read(DatasetFormat::Columns(mapping.parse().unwrap()), &[row])
}

fn cases(tests: &Tests) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match tests {
        Tests::Cases(cases) => cases.iter().map(|case| (text(&case.stdin), text(&case.expected))).collect(),
        Tests::Code { .. } => Vec::new(),
    }
}

fn pair(input: &str, output: &str) -> (String, String) {
    (input.to_owned(), output.to_owned())
}

#[test]
fn both_shapes_of_apps_are_cases_for_any_language() {
    let published = json!({
        "problem_id": 12, "question": "Add.\n", "starter_code": "", "difficulty": "interview", "url": "u",
        "input_output": json!({"inputs": ["1 2\n", ["3", "4"]], "outputs": ["3\n", ["7"]]}).to_string(),
        "solutions": json!(["print(sum(map(int, open(0).read().split())))", "other"]).to_string(),
    });
    let repacked = json!({
        "name": 12, "description": "Add.", "difficulty": "interview",
        "public_tests": {"input": ["1 2\n"], "output": ["3\n"]}, "private_tests": {"input": ["3\n4"], "output": ["7"]},
    });
    for (row, has_solution) in [(published, true), (repacked, false)] {
        let line = row.to_string();
        assert_eq!(DatasetKind::detect(line.as_bytes()), Some(DatasetKind::Apps));
        let item = DatasetKind::Apps.read(line.as_bytes()).unwrap().remove(0);
        let problem = &item.task.problem;
        assert_eq!((item.task.id.as_str(), problem.language.as_deref()), ("APPS/12", None));
        assert_eq!(cases(&problem.tests), [pair("1 2\n", "3\n"), pair("3\n4", "7")]);
        assert_eq!(problem.checker, Checker::Tokens(None));
        assert_eq!(item.canonical_solution.is_some(), has_solution);
        assert_eq!(item.meta["difficulty"], "interview");
        assert!(item.task.messages[0].content.starts_with("Add.\n\nWrite a program"));
    }
}

#[test]
fn fractions_of_apps_may_differ_as_far_as_its_authors_let_them() {
    let row = |output: &str| json!({"id": 1, "question": "q", "input_output": {"inputs": ["1"], "outputs": [output]}});
    let close = Checker::Tokens(Some(FloatTolerance { absolute: 1e-8, relative: 1e-5 }));
    for (output, expected) in [
        ("100000\n", Checker::Tokens(None)),
        ("1 0.50\n", close),
        ("v1.2.3 inf nan a.", Checker::Tokens(None)),
    ] {
        let items = read(DatasetFormat::Kind(DatasetKind::Apps), &[row(output)]).unwrap().items;
        assert_eq!(items[0].task.problem.checker, expected, "{output}");
    }
}

#[test]
fn rows_that_no_program_can_be_judged_by_are_listed_and_wrong_ones_are_errors() {
    let apps = |input_output: Value| json!({"id": 1, "question": "q", "input_output": input_output});
    let verl = |ground_truth: Value| {
        json!({
            "data_source": "apps", "prompt": [{"role": "user", "content": "q"}],
            "reward_model": {"style": "rule", "ground_truth": ground_truth},
        })
    };
    let lists = |inputs: Value, outputs: Value| json!({"inputs": inputs, "outputs": outputs});
    for (kind, row, expected) in [
        (DatasetKind::Apps, apps(json!("")), "row 1 (`APPS/1`): it has no test cases"),
        (
            DatasetKind::Apps,
            apps(json!({"fn_name": "f", "inputs": [[1]], "outputs": [1]})),
            "row 1 (`APPS/1`): it asks for the function `f`",
        ),
        (
            DatasetKind::Apps,
            apps(lists(json!(["1", "2"]), json!(["1"]))),
            "row 1 (`APPS/1`): it has 2 inputs and 1 outputs in `input_output`",
        ),
        (DatasetKind::Verl, verl(json!("72")), "row 1 (`apps/row-1`): its ground truth: it is not an object"),
        (DatasetKind::Verl, verl(json!("x")), "row 1 (`apps/row-1`): its ground truth: it is not JSON text"),
        (
            DatasetKind::Verl,
            verl(json!({"inputs": ["1"], "outputs": ["1"], "assert_case": ["assert f()"]})),
            "row 1 (`apps/row-1`): its ground truth: it has `assert_case` beside",
        ),
    ] {
        let Dataset { items, refused } = read(DatasetFormat::Kind(kind), &[row]).unwrap();
        assert_eq!((items.len(), refused.len()), (0, 1));
        assert!(refused[0].to_string().starts_with(expected), "{}", refused[0]);
    }
    for (kind, row, expected) in [
        (DatasetKind::Apps, apps(json!("{")), "row 1, `input_output`: it is not JSON text: "),
        (DatasetKind::Apps, apps(json!([1])), "row 1, `input_output`: it is not an object with"),
        (DatasetKind::Apps, json!({"question": "q"}), "row 1: expected one of `problem_id`, `id` and `name`"),
        (DatasetKind::Verl, json!({"data_source": "a"}), "row 1: missing field `prompt`"),
        (
            DatasetKind::Verl,
            json!({"data_source": "a", "prompt": [{"role": "robot"}], "reward_model": {}}),
            "row 1, `prompt[0].role`: unknown variant `robot`",
        ),
    ] {
        let error = read(DatasetFormat::Kind(kind), &[row]).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn columns_say_what_the_fields_are() {
    let row = json!({
        "n": 3, "q": {"text": "Do it."}, "chat": "[{\"role\": \"user\", \"content\": \"Do it.\", \"name\": null}]",
        "io": json!({"in": ["1", ["2", "3"]], "out": [1, "5"]}).to_string(), "pairs": [{"i": "1", "o": "2"}],
        "asserts": ["assert f()", "assert g()"], "seconds": "2s", "a.b, \"c\"": "odd", "none": null,
    });
    let mapping = "id=n,messages=chat,cases.stdin=io.in,cases.expected=io.out,limits.cpu_time=seconds,\
                   meta.odd=\"a.b, \"\"c\"\"\",checker=none,language=gone?";
    let item = by_columns(mapping, row.clone()).unwrap().items.remove(0);
    assert_eq!(item.task.id.as_str(), "3");
    assert_eq!(item.task.messages[0].content, "Do it.");
    assert_eq!(cases(&item.task.problem.tests), [pair("1", "1"), pair("2\n3", "5")]);
    assert_eq!(item.task.problem.limits.cpu_time.unwrap().as_secs(), 2);
    assert_eq!(item.meta["odd"], "odd");

    let item = by_columns("prompt=q.text,test_code=asserts", row.clone()).unwrap().items.remove(0);
    assert_eq!(item.task.id.as_str(), "row-1");
    let Tests::Code { test_code, .. } = &item.task.problem.tests else { unreachable!("it has no cases") };
    assert_eq!(&**test_code, "assert f()\nassert g()");

    for (mapping, expected, hint) in [
        (
            "prompt=Q,test_code=asserts",
            "row 1, `prompt`: there is no such column; there are `n`, `q`,",
            Some("did you mean `q`?"),
        ),
        (
            "prompt=q.txt,test_code=asserts",
            "row 1, `prompt`: `q` has no `txt`; it has `text`",
            Some("did you mean `text`?"),
        ),
        ("prompt=n.x,test_code=asserts", "row 1, `prompt`: `n` is 3 and has no `x` (column `n.x`)", None),
        ("prompt=seconds.x,test_code=asserts", "row 1, `prompt`: `seconds` is text and not JSON", None),
        (
            "prompt=pairs.4.i,test_code=asserts",
            "row 1, `prompt`: `pairs` has 1 elements, and none at 4",
            None,
        ),
        ("prompt=none,test_code=asserts", "row 1: expected one of `prompt` and `messages`", None),
        (
            "prompt=n,test_code=asserts",
            "row 1, `prompt`: invalid type: integer `3`, expected a string (column `n`)",
            None,
        ),
        (
            "prompt=seconds,cases.stdin=asserts,cases.expected=pairs.i",
            "row 1, `cases`: there are 2 inputs and 1",
            None,
        ),
        (
            "prompt=seconds,cases.expected=n",
            "row 1, `cases.expected`: expected a list, or JSON text of one",
            None,
        ),
        ("prompt=seconds,test_code=pairs", "row 1, `test_code`: expected text or a list of texts", None),
    ] {
        let error = by_columns(mapping, row.clone()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.hint.as_deref(), hint, "{error}");
    }
}

fn path() -> impl Strategy<Value = String> {
    let bare = "[a-z_][a-zé _0-9]{0,8}[a-z0-9]";
    let quoted = "[ -~é]{1,8}".prop_map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
    let segment = prop_oneof![bare.prop_map(|name: String| name), quoted];
    let segments = prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join("."));
    (segments, any::<bool>()).prop_map(|(path, optional)| if optional { path + "?" } else { path })
}

proptest! {
    #[test]
    fn a_mapping_is_what_it_is_written_as(
        prompt in path(), cases in path(), id in prop::option::of(path()), meta in prop::option::of(path()),
        spaces in "[ ]{0,2}",
    ) {
        let mut parts = vec![format!("prompt{spaces}={spaces}{prompt}{spaces}"), format!("cases={cases}")];
        parts.extend(id.iter().map(|path| format!("{spaces}id={path}")));
        parts.extend(meta.iter().map(|path| format!("meta.é x={path}")));
        let mapping: ColumnMapping = parts.join(",").parse().unwrap();
        prop_assert_eq!(&mapping.to_string().parse::<ColumnMapping>().unwrap(), &mapping);
        let pairs = mapping.to_pairs();
        prop_assert_eq!(pairs.len(), parts.len());
        let pairs = pairs.iter().map(|(field, path)| (field.as_str(), path.as_str()));
        prop_assert_eq!(&ColumnMapping::from_pairs(pairs).unwrap(), &mapping);
    }

    #[test]
    fn any_text_is_a_mapping_or_a_mistake(text in "([a-z.,=?\" ]|prompt=|,cases=){0,24}") {
        if let Ok(mapping) = text.parse::<ColumnMapping>() {
            prop_assert_eq!(mapping.to_string().parse(), Ok(mapping));
        }
    }
}
