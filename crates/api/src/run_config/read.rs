//! Reading a run file, and how mistakes in it are told.

use super::environment::ActionsConfig;
use super::policy::PolicyConfig;
use super::run::{RewardPartsConfig, RunConfig};
use crate::suggest;

/// A run file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}{}: {problem}", position_text(*.position))]
pub struct RunConfigError {
    /// The file, as its reader named it.
    pub path: String,
    /// Line and column, counted from 1, where they are known.
    pub position: Option<(u64, u64)>,
    /// What is wrong.
    pub problem: String,
    /// What would mend it.
    pub hint: Option<String>,
}

/// Run files are written by hand; more is another kind of file.
const FILE_BYTES_MAX: usize = 256 * 1024;

impl RunConfig {
    /// Reads a run file. `path` names it in messages.
    pub fn parse(path: &str, text: &str) -> Result<Self, RunConfigError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(refuse(
                path,
                format!("the file is {} bytes long", text.len()),
                "a run file is short",
            ));
        }
        let config: Self = serde_saphyr::from_str(text).map_err(|error| explain(path, &error))?;
        config.check(path)?;
        Ok(config)
    }

    /// What types alone do not say.
    fn check(&self, path: &str) -> Result<(), RunConfigError> {
        if self.tasks.format.is_some() && self.tasks.columns.is_some() {
            let hint = "`columns` says itself what they mean";
            return Err(refuse(path, "`tasks` has both `format` and `columns`", hint));
        }
        let PolicyConfig { urls, model, recorded, sampling, .. } = &self.policy;
        match (urls.is_empty(), recorded) {
            (false, None) if model.is_none() => {
                return Err(refuse(
                    path,
                    "`policy` has `urls` and no `model`",
                    "name one that the server lists",
                ));
            }
            (false, None) | (true, Some(_)) => {}
            (false, Some(_)) | (true, None) => {
                let hint = "a run asks servers or repeats a recording";
                return Err(refuse(path, "`policy` needs one of `urls` and `recorded`", hint));
            }
        }
        let has_tools = self.environment.actions == ActionsConfig::Tools;
        if self.tools.is_some() && !has_tools {
            let hint = "add `actions: tools` to `environment`";
            return Err(refuse(
                path,
                "`tools` goes with tool calls, and actions are written otherwise",
                hint,
            ));
        }
        let RewardPartsConfig { outcome, format } = self.reward.parts;
        for (name, value) in [("outcome", outcome), ("format", format)] {
            if !value.is_finite() {
                let problem = format!("`reward.parts.{name}` is not a finite number");
                return Err(refuse(path, problem, "one such weight would spoil every mean"));
            }
        }
        let is_bad_temperature =
            sampling.temperature.is_some_and(|value| !(value.is_finite() && value >= 0.0));
        if is_bad_temperature {
            return Err(refuse(
                path,
                "`policy.sampling.temperature` is not a number of at least 0",
                "try 1.0",
            ));
        }
        if sampling.top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
            return Err(refuse(path, "`policy.sampling.top_p` is not above 0 and at most 1", "try 1.0"));
        }
        Ok(())
    }
}

fn refuse(path: &str, problem: impl Into<String>, hint: &str) -> RunConfigError {
    RunConfigError {
        path: path.to_owned(),
        position: None,
        problem: problem.into(),
        hint: Some(hint.to_owned()),
    }
}

fn position_text(position: Option<(u64, u64)>) -> String {
    position.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"))
}

/// Turns the parser's error into ours: its position, its message in our words, and what was meant.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is foreign and has sixty more variants")]
fn explain(path: &str, error: &serde_saphyr::Error) -> RunConfigError {
    use serde_saphyr::Error as Yaml;

    let error = error.without_snippet();
    let position = error.location().map(|location| (location.line(), location.column()));
    let (problem, hint) = match error {
        Yaml::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), Some(choices(field, expected)))
        }
        Yaml::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), Some(choices(variant, expected)))
        }
        Yaml::SerdeMissingField { field, .. } => (
            format!("missing key `{field}`"),
            Some("a run has at least `tasks.path` and a `policy`".to_owned()),
        ),
        Yaml::Message { msg, .. } => (msg.clone(), None),
        other => (without_place(&other.render_with_formatter(&serde_saphyr::UserMessageFormatter)), None),
    };
    RunConfigError { path: path.to_owned(), position, problem, hint }
}

/// The place stands in front of the message already.
fn without_place(message: &str) -> String {
    let place = message.rfind(" at line ").filter(|at| {
        message[at + " at line ".len()..].split(", column ").all(|number| number.parse::<u64>().is_ok())
    });
    message[..place.unwrap_or(message.len())].to_owned()
}

fn choices(word: &str, known: &[&'static str]) -> String {
    match suggest::nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here are {}", known.join(", ")),
    }
}
