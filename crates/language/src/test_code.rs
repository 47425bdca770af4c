//! How tests given as code are run, where that differs from how programs are.
//!
//! Owns where solution, tests and proof of completion are written, and with which commands they are compiled and run.
//! Leaves joining their texts to the judge, and whether a library is there to whoever can look.

use rollcage_types::RelativePath;

use crate::command::Command;
use crate::language::Language;
use crate::proof::CompletionProof;

/// The `test_code` section of a language file. What it does not name is as for other programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestCode {
    /// Where the tests are written; behind the solution if absent.
    pub tests_filename: Option<RelativePath>,
    /// Where the proof of completion is written; behind the tests if absent.
    pub proof_filename: Option<RelativePath>,
    /// A line between a solution and the tests behind it. Empty for none.
    pub separator: String,
    /// What a failed assertion writes to standard error, where it does not end the program. Not empty.
    pub assertion_report: Option<String>,
    /// Libraries that tests may use and that do not come with the toolchain.
    pub libraries: Vec<Library>,
    /// How those are installed, as a line for a root shell.
    pub install: Option<String>,
    pub(crate) filename: Option<RelativePath>,
    pub(crate) compile: Option<Command>,
    pub(crate) execute: Option<Command>,
    pub(crate) artefacts: Vec<RelativePath>,
    pub(crate) env_vars: Vec<(String, String)>,
    pub(crate) completion_proof: Option<CompletionProof>,
}

/// A library, known by the word that tests have for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Tests in which this text stands need it.
    pub word: String,
    /// Exists where it is installed.
    pub path: String,
}

impl Language {
    /// The language as tests given as code are compiled and run in it.
    #[must_use]
    pub fn for_test_code(&self) -> Self {
        let mut language = self.clone();
        let Some(section) = &self.test_code else { return language };
        let TestCode { filename, compile, execute, artefacts, env_vars, completion_proof, .. } =
            section.clone();
        language.filename = filename.unwrap_or(language.filename);
        if !artefacts.is_empty() || compile.is_some() {
            language.artefacts = artefacts;
        }
        language.compile = compile.or(language.compile);
        if let Some(execute) = execute {
            language.execute = execute;
            // What is kept ready opens the program of another command.
            language.warm = None;
        }
        language.env_vars.retain(|(name, _)| env_vars.iter().all(|(other, _)| other != name));
        language.env_vars.extend(env_vars);
        language.env_vars.sort();
        language.completion_proof = completion_proof.or(language.completion_proof);
        language
    }

    /// The libraries that `texts`, parts of a problem's tests, need.
    pub fn libraries_in<'a>(&'a self, texts: &[&str]) -> impl Iterator<Item = &'a Library> {
        let libraries = self.test_code.iter().flat_map(|section| &section.libraries);
        libraries.filter(move |library| texts.iter().any(|text| text.contains(&library.word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Language {
        Language::parse("lang.yaml", text).unwrap()
    }

    const PLAIN: &str = "prompt: p\nfilename: a.x\ncompile: xc a.x\nexecute: ./a.out\nartefacts: [a.out]\n\
                         env_vars: {A: a, B: b}\n";

    #[test]
    fn what_the_section_names_replaces_what_programs_have() {
        let language = parse(&format!(
            "{PLAIN}test_code:\n  filename: s.x\n  compile: xc --test s.x\n  artefacts: [t]\n  execute: ./t\n  \
             env_vars: {{B: c}}\n  completion_proof: '{{path}} {{token}}'\n  proof_filename: p.x\n"
        ));
        let tests = language.for_test_code();
        let compile = tests.compile_request(vec![tests.source_file(*b"src")]).unwrap();
        assert_eq!((compile.argv, compile.files[0].path.as_str()), (vec_of(&["xc", "--test", "s.x"]), "s.x"));
        assert_eq!(tests.run_request(Vec::new()).argv, ["./t"]);
        assert_eq!(tests.env_vars, [("A", "a"), ("B", "c")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(tests.completion_proof.is_some() && language.completion_proof.is_none());
        assert_eq!(language.run_command().argv, ["./a.out"], "programs are as they were");
    }

    #[test]
    fn what_the_section_does_not_name_stays() {
        let language = parse(&format!("{PLAIN}test_code: {{separator: '--'}}\n"));
        assert_eq!(language.for_test_code(), language);
        assert_eq!(parse(PLAIN).for_test_code(), parse(PLAIN));
        let recompiled = parse(&format!("{PLAIN}test_code: {{compile: xc --test a.x}}\n")).for_test_code();
        assert!(recompiled.artefacts.is_empty(), "another compiler leaves other files");
    }

    #[test]
    fn a_library_is_needed_where_its_word_stands() {
        let language =
            parse(&format!("{PLAIN}test_code: {{libraries: {{'md5::': /lib/md5, rand: /lib/rand}}}}\n"));
        let paths = |texts: &[&str]| -> Vec<_> {
            language.libraries_in(texts).map(|library| library.path.as_str()).collect()
        };
        assert_eq!(paths(&["use rand;", "x"]), ["/lib/rand"]);
        assert_eq!(paths(&["rand", "md5::compute"]), ["/lib/md5", "/lib/rand"]);
        assert!(paths(&["md5"]).is_empty());
    }

    #[test]
    fn an_empty_report_and_a_relative_library_are_refused() {
        for section in
            ["{assertion_report: ''}", "{libraries: {a: lib/a}}", "{libraries: {'': /a}}", "{mood: x}"]
        {
            assert!(
                Language::parse("l.yaml", &format!("{PLAIN}test_code: {section}\n")).is_err(),
                "{section}"
            );
        }
    }

    fn vec_of(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}
