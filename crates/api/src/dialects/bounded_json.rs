//! Reading JSON before anything is known of its shape, with a bound on what it becomes in memory.
//!
//! `[0,0,…]` takes two bytes a value on the wire and sixteen times that as values, so the size of a body bounds
//! nothing. Nesting is bounded by the reader itself, at 128 levels.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads one JSON value of at most `values_max` values, nested ones counted.
pub(super) fn read(bytes: &[u8], values_max: usize) -> Result<Value, serde_json::Error> {
    let left = Cell::new(values_max);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Bounded { left: &left, values_max }.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Bounded<'a> {
    left: &'a Cell<usize>,
    values_max: usize,
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(D::Error::custom(format!("more than {} values", self.values_max)));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are() {
        let text = r#"{"a": [1, -2, 0.5, true, null, "x\n"], "b": {"c": {}}, "a": 3}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read(text.as_bytes(), 100).unwrap(), expected);
    }

    #[test]
    fn number_and_depth_of_values_are_bounded() {
        assert!(read(b"[1, [2, {\"a\": 3}]]", 6).is_ok());
        let error = read(b"[1, [2, {\"a\": 3}]]", 5).unwrap_err().to_string();
        assert!(error.starts_with("more than 5 values"), "{error}");
        let deep = read("[".repeat(100_000).as_bytes(), 1_000_000).unwrap_err().to_string();
        assert!(deep.contains("recursion limit"), "{deep}");
        assert!(read(b"1 2", 5).is_err());
        assert!(read(b"", 5).is_err());
    }
}
