//! Where a server is and the key it wants, checked before the first call.

use std::fmt;

use reqwest::Url;
use reqwest::header::HeaderValue;

use super::error::PolicySetupError;
use super::request::PolicyRequest;

/// The variable the key is read from unless the configuration names another.
const API_KEY_VARIABLE: &str = "OPENAI_API_KEY";

/// The server of a sample: the same for all its turns, since that one has the conversation in its cache.
pub(super) fn home_endpoint(request: PolicyRequest<'_>, endpoints: usize) -> usize {
    let hash = blake3::hash(request.task_id.as_str().as_bytes());
    let start = u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
    (usize::from(start) + request.sample as usize) % endpoints
}

/// The endpoint below a url that ends in `/v1` or the like.
pub(super) fn parse_endpoint(text: &str) -> Result<Url, PolicySetupError> {
    let mut url = Url::parse(text.trim_end_matches('/'))
        .map_err(|_error| PolicySetupError::BadUrl { url: text.to_owned(), why: "is not a url" })?;
    let why = if !matches!(url.scheme(), "http" | "https") {
        Some("is neither http nor https")
    } else if !url.username().is_empty() || url.password().is_some() {
        Some("holds a user name or password; put the key in an environment variable")
    } else if url.query().is_some() || url.fragment().is_some() {
        Some("has a query or a fragment")
    } else {
        None
    };
    if let Some(why) = why {
        // A password belongs into no message, and a query may hold a key; a url that can have neither keeps both unset.
        let _cannot_have_one = url.set_password(None);
        url.set_query(None);
        return Err(PolicySetupError::BadUrl { url: url.to_string(), why });
    }
    url.path_segments_mut().expect("an http url has a path").pop_if_empty().extend(["chat", "completions"]);
    Ok(url)
}

/// An API key, which never reaches a log, a message or the store.
pub(super) struct ApiKey {
    secret: String,
    /// The value of the `Authorization` header.
    pub(super) header: HeaderValue,
}

impl ApiKey {
    /// Reads the variable; without a name, the usual one, which may be unset.
    pub(super) fn from_env(variable: Option<String>) -> Result<Option<Self>, PolicySetupError> {
        let is_required = variable.is_some();
        let variable = variable.unwrap_or_else(|| API_KEY_VARIABLE.to_owned());
        let secret = match std::env::var(&variable) {
            Ok(secret) if !secret.is_empty() => secret,
            Ok(_) | Err(_) if is_required => {
                return Err(PolicySetupError::BadKey { variable, why: "is not set, or empty" });
            }
            Ok(_) | Err(_) => return Ok(None),
        };
        let Ok(mut header) = HeaderValue::from_str(&format!("Bearer {secret}")) else {
            return Err(PolicySetupError::BadKey { variable, why: "holds characters no header may have" });
        };
        header.set_sensitive(true);
        Ok(Some(Self { secret, header }))
    }

    /// The text with every occurrence of the key replaced.
    pub(super) fn hide_in(&self, text: &str) -> String {
        text.replace(&self.secret, "[api key]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}
