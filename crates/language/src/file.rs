//! The language file: its keys, and its way into a [`Language`].
//!
//! Every value becomes its final type while it is read, so that a mistake is reported where it stands. The
//! keys of an Agnostics file keep their spelling and meaning; all others are ours and optional.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rollcage_types::{ByteSize, LimitOverrides, RelativePath};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

use crate::command::Command;
use crate::error::LanguageError;
use crate::language::{Container, Install, Language};
use crate::nearest::nearest;
use crate::prepare::PrepareSection;
use crate::proof::CompletionProof;
use crate::root::RootSection;
use crate::scalar::{AbsolutePath, Name, Parsed, VariableName, Words};
use crate::self_test::{Expected, SelfTest};
use crate::session::SessionValue;
use crate::test_code::{Library, TestCode};
use crate::warm::WarmSection;

/// A language file with long prompts and tests is a few kilobytes; more is another kind of file.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// Reads a language file.
pub(crate) fn parse(path: &str, text: &str) -> Result<Language, LanguageError> {
    let refuse = |problem: String, hint: &str| LanguageError {
        path: path.to_owned(),
        position: None,
        problem,
        hint: Some(hint.to_owned()),
    };
    if text.len() > FILE_BYTES_MAX {
        return Err(refuse(
            format!("the file is {} bytes long", text.len()),
            "a language file is at most 256 KiB",
        ));
    }
    let mut file: LanguageFile = serde_saphyr::from_str(text).map_err(|error| explain(path, &error))?;
    let name = match file.name.take() {
        Some(Parsed(name)) => name.0,
        None => stem(path).parse::<Name>().map_err(|problem| refuse(problem, "give it a `name`"))?.0,
    };
    Ok(file.into_language(name))
}

fn stem(path: &str) -> &str {
    let file_name = path.rsplit('/').next().unwrap_or(path);
    file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LanguageFile {
    prompt: String,
    filename: Parsed<RelativePath>,
    execute: Parsed<Command>,
    compile: Option<Parsed<Command>>,
    install: Option<InstallValue>,
    container: Option<ContainerSection>,
    root: Option<RootSection>,
    name: Option<Parsed<Name>>,
    #[serde(default)]
    aliases: Vec<Parsed<Name>>,
    display: Option<String>,
    toolchain: Option<Vec<Parsed<Name>>>,
    version: Option<Parsed<Command>>,
    #[serde(default)]
    artefacts: Vec<Parsed<RelativePath>>,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    compile_limits: LimitsSection,
    #[serde(default)]
    env_vars: BTreeMap<Parsed<VariableName>, String>,
    completion_proof: Option<Parsed<CompletionProof>>,
    test_code: Option<TestCodeSection>,
    session: Option<SessionValue>,
    prepare: Option<PrepareSection>,
    warm: Option<WarmSection>,
    #[serde(default)]
    tests: Vec<TestSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestCodeSection {
    filename: Option<Parsed<RelativePath>>,
    tests_filename: Option<Parsed<RelativePath>>,
    proof_filename: Option<Parsed<RelativePath>>,
    #[serde(default)]
    separator: String,
    compile: Option<Parsed<Command>>,
    execute: Option<Parsed<Command>>,
    #[serde(default)]
    artefacts: Vec<Parsed<RelativePath>>,
    #[serde(default)]
    env_vars: BTreeMap<Parsed<VariableName>, String>,
    completion_proof: Option<Parsed<CompletionProof>>,
    assertion_report: Option<Parsed<Words>>,
    #[serde(default)]
    libraries: BTreeMap<Parsed<Words>, Parsed<AbsolutePath>>,
    install: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ContainerSection {
    base_image: Option<String>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct InstallSection {
    container_instructions: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsSection {
    cpu_time: Option<Parsed<Duration>>,
    wall_time: Option<Parsed<Duration>>,
    idle_time: Option<Parsed<Duration>>,
    memory: Option<Parsed<ByteSize>>,
    processes: Option<u32>,
    output: Option<Parsed<ByteSize>>,
    file_size: Option<Parsed<ByteSize>>,
    disk: Option<Parsed<ByteSize>>,
    open_files: Option<u32>,
    stack: Option<Parsed<ByteSize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestSection {
    name: String,
    program: String,
    #[serde(default)]
    stdin: String,
    stdout: Option<String>,
    /// An exit code, or the name of another ending; 0 if absent.
    expect: Option<Parsed<Expected>>,
    #[serde(default)]
    limits: LimitsSection,
}

impl LanguageFile {
    fn into_language(self, name: String) -> Language {
        let values = |list: Vec<Parsed<Name>>| list.into_iter().map(|Parsed(name)| name.0).collect();
        let compile = self.compile.map(Parsed::value);
        let execute = self.execute.value();
        let toolchain = match self.toolchain {
            Some(toolchain) => values(toolchain),
            None => derived_toolchain(compile.as_ref(), &execute),
        };
        let (session_kind, session_recipe) =
            self.session.map_or((None, None), |SessionValue(kind, recipe)| (Some(kind), recipe));
        Language {
            display: self.display.unwrap_or_else(|| name.clone()),
            name,
            aliases: values(self.aliases),
            prompt: self.prompt,
            filename: self.filename.value(),
            artefacts: self.artefacts.into_iter().map(Parsed::value).collect(),
            toolchain,
            install: self.install.map(|InstallValue(install)| install),
            container: self
                .container
                .map(|section| Container { base_image: section.base_image, family: section.r#type }),
            root: self.root.map(RootSection::into_recipe),
            version: self.version.map(Parsed::value),
            limits: self.limits.into_overrides(),
            compile_limits: self.compile_limits.into_overrides(),
            env_vars: variables(self.env_vars),
            completion_proof: self.completion_proof.map(Parsed::value),
            test_code: self.test_code.map(TestCodeSection::into_test_code),
            session: session_kind,
            session_recipe,
            prepare: self.prepare.map(PrepareSection::into_prepare),
            warm: self.warm.map(|WarmSection(warm)| warm),
            tests: self.tests.into_iter().map(TestSection::into_test).collect(),
            compile,
            execute,
        }
    }
}

fn variables(map: BTreeMap<Parsed<VariableName>, String>) -> Vec<(String, String)> {
    map.into_iter().map(|(Parsed(name), value)| (name.0, value)).collect()
}

impl TestCodeSection {
    fn into_test_code(self) -> TestCode {
        let library = |(Parsed(word), Parsed(path)): (Parsed<Words>, Parsed<AbsolutePath>)| Library {
            word: word.0,
            path: path.0,
        };
        TestCode {
            tests_filename: self.tests_filename.map(Parsed::value),
            proof_filename: self.proof_filename.map(Parsed::value),
            separator: self.separator,
            assertion_report: self.assertion_report.map(|Parsed(words)| words.0),
            libraries: self.libraries.into_iter().map(library).collect(),
            install: self.install,
            filename: self.filename.map(Parsed::value),
            compile: self.compile.map(Parsed::value),
            execute: self.execute.map(Parsed::value),
            artefacts: self.artefacts.into_iter().map(Parsed::value).collect(),
            env_vars: variables(self.env_vars),
            completion_proof: self.completion_proof.map(Parsed::value),
        }
    }
}

/// An Agnostics file does not list its toolchain; the programs its commands name are the best guess.
fn derived_toolchain(compile: Option<&Command>, execute: &Command) -> Vec<String> {
    let mut programs: Vec<String> = Vec::new();
    for program in compile.into_iter().chain([execute]).filter_map(Command::bare_program) {
        if !programs.iter().any(|known| known == program) {
            programs.push(program.to_owned());
        }
    }
    programs
}

impl LimitsSection {
    pub(crate) fn into_overrides(self) -> LimitOverrides {
        LimitOverrides {
            cpu_time: self.cpu_time.map(Parsed::value),
            wall_time: self.wall_time.map(Parsed::value),
            idle_time: self.idle_time.map(Parsed::value),
            memory: self.memory.map(Parsed::value),
            processes: self.processes,
            output: self.output.map(Parsed::value),
            file_size: self.file_size.map(Parsed::value),
            disk: self.disk.map(Parsed::value),
            open_files: self.open_files,
            stack: self.stack.map(Parsed::value),
        }
    }
}

impl TestSection {
    fn into_test(self) -> SelfTest {
        SelfTest {
            name: self.name,
            program: self.program,
            stdin: self.stdin,
            expected: self.expect.map_or(Expected::ExitCode(0), Parsed::value),
            stdout: self.stdout,
            limits: self.limits.into_overrides(),
        }
    }
}

/// `install` is one shell line, or a map holding lines of a Dockerfile.
struct InstallValue(Install);

impl<'de> Deserialize<'de> for InstallValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InstallVisitor)
    }
}

struct InstallVisitor;

impl<'de> Visitor<'de> for InstallVisitor {
    type Value = InstallValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a shell line, or a map with `container-instructions`")
    }

    fn visit_str<E>(self, line: &str) -> Result<InstallValue, E> {
        Ok(InstallValue(Install::Shell(line.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<InstallValue, A::Error> {
        let section = InstallSection::deserialize(MapAccessDeserializer::new(map))?;
        Ok(InstallValue(Install::ContainerInstructions(section.container_instructions)))
    }
}

/// Turns the parser's error into ours: its position, its message in our words, and what was meant.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is foreign and has sixty more variants")]
fn explain(path: &str, error: &serde_saphyr::Error) -> LanguageError {
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
        Yaml::SerdeMissingField { field, .. } => {
            let hint = match *field {
                "prompt" | "filename" | "execute" => {
                    Some("every language has `prompt`, `filename` and `execute`".to_owned())
                }
                _ => None,
            };
            (format!("missing key `{field}`"), hint)
        }
        Yaml::Message { msg, .. } => (msg.clone(), None),
        other => (other.render_with_formatter(&serde_saphyr::UserMessageFormatter), None),
    };
    LanguageError { path: path.to_owned(), position, problem, hint }
}

fn choices(word: &str, known: &[&'static str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here are {}", known.join(", ")),
    }
}
