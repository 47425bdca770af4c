//! Requests that make no sense, answered as FastAPI answers them: status 422 and a list of mistakes.
//!
//! The names of the mistakes and their messages are pydantic's (version 2), which clients' logs are full of. What
//! was given is echoed shortened: an error is no place for a file.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::bounded_json;

/// The body of a 422.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValidationReply {
    /// Every mistake found, up to a bound.
    pub detail: Vec<Mistake>,
}

/// One mistake in a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mistake {
    /// Which kind, where, and what was expected.
    #[serde(flatten)]
    pub fault: Fault,
    /// Where it is, from `body` inwards.
    pub loc: Vec<Location>,
    /// What was given, shortened.
    pub input: Value,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// Which kind of mistake, as pydantic names it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What was expected.
    #[serde(rename = "msg")]
    pub message: String,
    /// What the message was made of.
    #[serde(rename = "ctx", skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
}

/// A step from a value to one within it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Location {
    /// The field of an object.
    Field(String),
    /// The element of a list, or the byte of a text.
    Index(usize),
}

/// Mistakes listed. Whoever sent more has sent something else altogether.
const MISTAKES_MAX: usize = 20;

/// Characters of a text that are echoed.
const ECHO_CHARS_MAX: usize = 100;

impl ValidationReply {
    /// One mistake that only running could show, at `place` within the body.
    pub fn found(place: impl IntoIterator<Item = Location>, why: &str) -> Self {
        let loc = [Location::Field("body".to_owned())].into_iter().chain(place).collect();
        Self { detail: vec![Mistake { fault: Fault::value(why), loc, input: Value::Null }] }
    }
}

impl From<&str> for Location {
    fn from(field: &str) -> Self {
        Self::Field(field.to_owned())
    }
}

impl From<usize> for Location {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl Fault {
    /// A mistake that needs no more than its message.
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: None }
    }

    /// A mistake of a kind that the original would not have found.
    pub(super) fn value(message: &str) -> Self {
        Self {
            kind: "value_error",
            message: format!("Value error, {message}"),
            context: Some(json!({"error": message})),
        }
    }

    /// A word that is none of those there are.
    pub(super) fn literal<'a>(expected: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<String> = expected.into_iter().map(|word| format!("'{word}'")).collect();
        let list = match words.as_slice() {
            [] => "nothing: no language is ready".to_owned(),
            [word] => word.clone(),
            [most @ .., last] => format!("{} or {last}", most.join(", ")),
        };
        Self {
            kind: "literal_error",
            message: format!("Input should be {list}"),
            context: Some(json!({"expected": list})),
        }
    }
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn add(&mut self, loc: Vec<Location>, fault: Fault, input: &Value) {
        if self.0.len() < MISTAKES_MAX {
            self.0.push(Mistake { fault, loc, input: shortened(input) });
        }
    }

    /// What was read, unless there are mistakes. `None` without a mistake is a bug of the reader's.
    pub(super) fn or<T>(self, read: Option<T>) -> Result<T, ValidationReply> {
        match (self.0.is_empty(), read) {
            (true, Some(read)) => Ok(read),
            (true, None) => unreachable!("what could not be read has a mistake"),
            (false, _) => Err(ValidationReply { detail: self.0 }),
        }
    }
}

/// An object of a request, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    place: Vec<Location>,
}

/// Reads a body as JSON.
pub(super) fn read_json(body: &[u8], values_max: usize) -> Result<Value, ValidationReply> {
    bounded_json::read(body, values_max).map_err(|error| {
        let before: usize =
            body.split(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(|l| l.len() + 1).sum();
        let offset = before + error.column().saturating_sub(1);
        let fault = Fault {
            context: Some(json!({"error": error.to_string()})),
            ..Fault::new("json_invalid", "JSON decode error")
        };
        let loc = vec![Location::Field("body".to_owned()), Location::Index(offset)];
        ValidationReply { detail: vec![Mistake { fault, loc, input: json!({}) }] }
    })
}

impl<'a> Object<'a> {
    /// The body itself.
    pub(super) fn body(mistakes: &mut Mistakes, value: &'a Value) -> Option<Self> {
        Self::at(mistakes, vec![Location::Field("body".to_owned())], value)
    }

    /// The object at `place`.
    pub(super) fn at(mistakes: &mut Mistakes, place: Vec<Location>, value: &'a Value) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self { fields, place }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let message = "Input should be a valid dictionary or object to extract fields from";
                mistakes.add(place, Fault::new("model_attributes_type", message), value);
                None
            }
        }
    }

    /// Where the field called `name` is.
    pub(super) fn place_of(&self, name: &str) -> Vec<Location> {
        within(&self.place, Location::Field(name.to_owned()))
    }

    /// A field that must be there.
    pub(super) fn required<T>(
        &self,
        mistakes: &mut Mistakes,
        name: &str,
        read: impl FnOnce(&'a Value) -> Result<T, Fault>,
    ) -> Option<T> {
        if !self.fields.contains_key(name) {
            mistakes.add(self.place_of(name), Fault::new("missing", "Field required"), &json!({}));
        }
        let value = self.fields.get(name)?;
        read(value).map_err(|fault| mistakes.add(self.place_of(name), fault, value)).ok()
    }

    /// A field that may be left out; `None` only where it is there and wrong.
    pub(super) fn optional<T>(
        &self,
        mistakes: &mut Mistakes,
        name: &str,
        default: T,
        read: impl FnOnce(&'a Value) -> Result<T, Fault>,
    ) -> Option<T> {
        if self.fields.contains_key(name) { self.required(mistakes, name, read) } else { Some(default) }
    }
}

/// `place`, one step further in.
pub(super) fn within(place: &[Location], step: Location) -> Vec<Location> {
    place.iter().cloned().chain([step]).collect()
}

pub(super) fn text(value: &Value) -> Result<&str, Fault> {
    value.as_str().ok_or_else(|| Fault::new("string_type", "Input should be a valid string"))
}

pub(super) fn text_or_null(value: &Value) -> Result<Option<&str>, Fault> {
    if value.is_null() { Ok(None) } else { text(value).map(Some) }
}

pub(super) fn list(value: &Value) -> Result<&[Value], Fault> {
    match value {
        Value::Array(elements) => Ok(elements),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(Fault::new("list_type", "Input should be a valid list"))
        }
    }
}

pub(super) fn dictionary(value: &Value) -> Result<&Map<String, Value>, Fault> {
    value.as_object().ok_or_else(|| Fault::new("dict_type", "Input should be a valid dictionary"))
}

/// A number, or a text that holds one.
pub(super) fn number(value: &Value) -> Result<f64, Fault> {
    let parsed = match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::String(text) => Some(text.trim().parse().map_err(|_not_one: std::num::ParseFloatError| {
            Fault::new("float_parsing", "Input should be a valid number, unable to parse string as a number")
        })?),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    parsed.ok_or_else(|| Fault::new("float_type", "Input should be a valid number"))
}

/// A whole number, or a text that holds one.
pub(super) fn integer(value: &Value) -> Result<i64, Fault> {
    let whole = |number: f64| {
        // Beyond 2^53 not every whole number is a float, and no limit is that large.
        let is_whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
        is_whole.then_some(number as i64).ok_or_else(|| {
            let message = "Input should be a valid integer, got a number with a fractional part";
            Fault::new("int_from_float", message)
        })
    };
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(integer),
            (None, Some(float)) => whole(float),
            (None, None) => Err(Fault::new("int_type", "Input should be a valid integer")),
        },
        Value::Bool(truth) => Ok(i64::from(*truth)),
        Value::String(text) => text.trim().parse().map_err(|_not_one: std::num::ParseIntError| {
            let message = "Input should be a valid integer, unable to parse string as an integer";
            Fault::new("int_parsing", message)
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(Fault::new("int_type", "Input should be a valid integer"))
        }
    }
}

/// What was given, short enough for a log.
fn shortened(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(text) => match text.char_indices().nth(ECHO_CHARS_MAX) {
            None => value.clone(),
            Some((end, _)) => Value::from(Cow::from(&text[..end]) + "…"),
        },
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
    }
}
