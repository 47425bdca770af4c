//! The `prepare` section of a language file: files that are made once and that every compiler finds: a precompiled header,
//! an archive of a compiler's own classes.
//!
//! Owns what is made and how a compiler is told. Leaves making it, and telling whether it is there, to `rollcage-warm`.

use std::collections::BTreeMap;

use rollcage_types::{ExecRequest, LimitOverrides};
use serde::Deserialize;

use crate::command::Command;
use crate::file::LimitsSection;
use crate::scalar::{Parsed, VariableName, Words};

/// Stands for the directory in which compilers find the files.
const PLACEHOLDER: &str = "{prepared}";

/// What is made for compilers, and how they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepare {
    /// Makes the files, in a workspace that holds the program of the first self-test.
    pub command: Command,
    /// Limits of that where they differ from compiling's.
    pub limits: LimitOverrides,
    /// Arguments of the compiler, behind its name, where the files are there.
    compile_flags: Vec<String>,
    /// Variables of the compiler, where the files are there.
    compile_env_vars: Vec<(String, String)>,
}

impl Prepare {
    /// Has the compiler of `request` use the files, which it finds in `directory`. A line that a shell runs gets variables
    /// only.
    pub fn apply(&self, directory: &str, request: &mut ExecRequest) {
        let fill = |text: &String| text.replace(PLACEHOLDER, directory);
        let is_shell_line = request.argv.first().is_some_and(|program| program == "/bin/sh");
        if !is_shell_line && !request.argv.is_empty() {
            request.argv.splice(1..1, self.compile_flags.iter().map(fill));
        }
        let variables = self.compile_env_vars.iter().map(|(name, value)| (name.clone(), fill(value)));
        request.env_vars.retain(|(name, _)| self.compile_env_vars.iter().all(|(own, _)| own != name));
        request.env_vars.extend(variables);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrepareSection {
    command: Parsed<Command>,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    compile_flags: Vec<Parsed<Words>>,
    #[serde(default)]
    compile_env_vars: BTreeMap<Parsed<VariableName>, String>,
}

impl PrepareSection {
    pub(crate) fn into_prepare(self) -> Prepare {
        let variable = |(Parsed(name), value): (Parsed<VariableName>, String)| (name.0, value);
        Prepare {
            command: self.command.value(),
            limits: self.limits.into_overrides(),
            compile_flags: self.compile_flags.into_iter().map(|Parsed(flag)| flag.0).collect(),
            compile_env_vars: self.compile_env_vars.into_iter().map(variable).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rollcage_types::ExecRequest;

    use crate::Language;

    fn applied(compile: &str) -> ExecRequest {
        let text = format!(
            "prompt: p\nfilename: a.x\ncompile: {compile}\nexecute: ./a\nenv_vars: {{A: old, B: b}}\n\
             prepare: {{command: xc --all, compile_flags: [\"-I{{prepared}}\"], \
             compile_env_vars: {{A: \"{{prepared}}/a\"}}}}\n"
        );
        let language = Language::parse("lang.yaml", &text).unwrap();
        let mut request = language.compile_request(Vec::new()).unwrap();
        language.prepare.unwrap().apply("/there", &mut request);
        request
    }

    #[test]
    fn a_compiler_is_told_where_the_files_are() {
        let request = applied("xc -o a a.x");
        assert_eq!(request.argv, ["xc", "-I/there", "-o", "a", "a.x"]);
        let expected =
            [("B", "b"), ("A", "/there/a")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(request.env_vars, expected);
    }

    #[test]
    fn a_shell_line_stays_as_it_is() {
        let request = applied("xc a.x && true");
        assert_eq!(request.argv, ["/bin/sh", "-c", "xc a.x && true"]);
        assert_eq!(request.env_vars[1].1, "/there/a");
    }
}
