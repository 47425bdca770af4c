//! What a cell showed, in the forms that the program claims for it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Forms of one value. An honest bundle has a handful.
const FORMS_MAX: usize = 64;

/// A value in several forms, by MIME type, as the program claims them: text as strings, images in base64, the rest as JSON.
///
/// A program can say anything here, so nothing is made of it before somebody asks: a few bytes of JSON can become a hundred
/// times as much memory.
#[derive(Clone, Debug, Default)]
pub struct MimeBundle(BTreeMap<String, Box<RawValue>>);

impl MimeBundle {
    /// `None` if it is no JSON object, or one of too many forms.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The MIME types, and of each the content as JSON text.
    pub fn forms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(form, json)| (form.as_str(), json.get()))
    }

    /// The content of one MIME type; `Null` if there is none.
    pub fn value(&self, form: &str) -> serde_json::Value {
        self.0.get(form).and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
    }
}

impl PartialEq for MimeBundle {
    fn eq(&self, other: &Self) -> bool {
        self.forms().eq(other.forms())
    }
}

impl Eq for MimeBundle {}

impl Serialize for MimeBundle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MimeBundle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = MimeBundle;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {FORMS_MAX} MIME types")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MimeBundle, A::Error> {
                let mut forms = BTreeMap::new();
                while let Some(form) = map.next_key::<String>()? {
                    if forms.len() == FORMS_MAX {
                        return Err(de::Error::invalid_length(forms.len() + 1, &self));
                    }
                    forms.insert(form, map.next_value::<Box<RawValue>>()?);
                }
                Ok(MimeBundle(forms))
            }
        }

        deserializer.deserialize_map(Forms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_kept_as_they_were_said() {
        let bundle =
            MimeBundle::parse(br#"{"text/plain": "a", "application/json": [1, {"b": 2.50}]}"#).unwrap();
        assert_eq!(bundle.value("text/plain"), "a");
        assert_eq!(bundle.value("image/png"), serde_json::Value::Null);
        let forms: Vec<_> = bundle.forms().collect();
        assert_eq!(forms, [("application/json", r#"[1, {"b": 2.50}]"#), ("text/plain", r#""a""#)]);
    }

    #[test]
    fn what_is_no_bundle_is_none() {
        let many: Vec<String> = (0..=FORMS_MAX).map(|n| format!("\"{n}\":0")).collect();
        let many = format!("{{{}}}", many.join(","));
        for json in ["", "[]", "1", r#"{"a": }"#, r#"{"a": 1"#, &many] {
            assert_eq!(MimeBundle::parse(json.as_bytes()), None, "{json}");
        }
    }
}
