//! Language files: what is read is fit for use, and what is refused says where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcage_language::{Language, LanguageSet};
use rollcage_types::LimitOverrides;

fuzz_target!(|text: &str| {
    match Language::parse("languages/fuzzed.yaml", text) {
        Ok(language) => {
            assert!(!language.name.is_empty());
            assert!(language.answers_to(&language.name));
            let source = language.source_file(*b"source");
            assert_eq!(source.path, language.filename);
            assert_eq!(
                language.compile_request(vec![source]).is_some(),
                language.compile_command().is_some()
            );
            let _limits = language.run_limits(&LimitOverrides::default());
            let files = vec![("fuzzed.yaml".to_owned(), text.to_owned())];
            // The file's own name is part of it: the set must find it under the name it was read with.
            if let Ok(set) = LanguageSet::built_in().with_directory_files(files) {
                assert!(set.find(&language.name).is_ok());
            }
        }
        Err(error) => {
            assert!(!error.problem.is_empty());
            if let Some((line, column)) = error.position {
                assert!((1..=line_count(text) + 1).contains(&line), "line {line}");
                assert!(column >= 1, "column {column}");
            }
        }
    }
});

/// Lines as YAML counts them: a carriage return ends one as well.
fn line_count(text: &str) -> u64 {
    text.bytes().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64 + 1
}
