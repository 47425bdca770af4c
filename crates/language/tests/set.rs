//! The built-in languages, and how a user's files change the set.

use rollcage_language::{Expected, LanguageSet, SessionKind};

fn file(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), format!("prompt: p\nfilename: a.x\nexecute: mine a.x\n{text}"))
}

#[test]
fn built_in_languages_answer_to_the_names_models_use() {
    let set = LanguageSet::built_in();
    let names: Vec<_> = set.iter().map(|language| language.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "bash",
            "c",
            "cpp",
            "duckdb",
            "fortran",
            "go",
            "java",
            "javascript",
            "julia",
            "lua",
            "ocaml",
            "ocaml-toplevel",
            "perl",
            "php",
            "postgresql",
            "python",
            "r",
            "ruby",
            "rust",
            "sqlite",
            "typescript",
        ]
    );
    for (word, name) in [
        ("py", "python"),
        ("Python3", "python"),
        ("c++", "cpp"),
        ("C", "c"),
        ("js", "javascript"),
        ("sh", "bash"),
        ("rs", "rust"),
        ("golang", "go"),
        ("ts", "typescript"),
        ("R", "r"),
        ("ml", "ocaml"),
        ("f90", "fortran"),
        ("pl", "perl"),
        ("rb", "ruby"),
        ("sql", "sqlite"),
        ("postgres", "postgresql"),
        ("jl", "julia"),
    ] {
        assert_eq!(set.find(word).unwrap().name, name, "{word}");
    }
}

#[test]
fn built_in_languages_are_complete() {
    for language in LanguageSet::built_in().iter() {
        let name = &language.name;
        let tests: Vec<_> = language.tests.iter().map(|test| test.name.as_str()).collect();
        let six = ["output", "exit code", "compile error", "runtime error", "time limit", "memory limit"];
        assert_eq!(tests, six, "{name}");
        let compile_error = if language.compile_command().is_some() {
            Expected::CompileError
        } else {
            Expected::RuntimeError
        };
        assert_eq!(language.tests[2].expected, compile_error, "{name}");
        assert!(
            (language.install.is_some() || language.root.is_some())
                && language.version.is_some()
                && !language.toolchain.is_empty(),
            "{name}"
        );
        // Java's compiler names its files after the classes it finds.
        let leaves_named_files = language.compile_command().is_some() && name != "java";
        assert_eq!(!language.artefacts.is_empty(), leaves_named_files, "{name}");
        assert!(!language.run_command().argv.contains(&"/bin/sh".to_owned()), "{name} needs no shell");
        let programs = language.compile_command().into_iter().chain([language.run_command()]);
        for program in programs.map(|command| command.program()).filter(|program| !program.starts_with("./"))
        {
            assert!(language.toolchain.iter().any(|tool| tool == program), "{name} lists {program}");
        }
    }
    let set = LanguageSet::built_in();
    assert_eq!(set.find("python").unwrap().session, Some(SessionKind::Python));
    assert_eq!(set.find("bash").unwrap().session, Some(SessionKind::Bash));
    assert_eq!(set.find("lua").unwrap().session, Some(SessionKind::Recipe));
    assert_eq!(set.find("cpp").unwrap().session, None);
}

#[test]
fn a_users_file_adds_or_replaces() {
    let set = LanguageSet::built_in()
        .with_directory_files(vec![file("d/cobol.yaml", "aliases: [cob, js]\n"), file("d/python.yaml", "")])
        .unwrap();
    assert_eq!(set.find("COB").unwrap().name, "cobol");
    assert_eq!(set.find("js").unwrap().name, "cobol", "a user's alias wins over a built-in one");
    assert_eq!(set.find("python").unwrap().run_command().argv, ["mine", "a.x"]);
    assert!(set.find("py").is_err(), "the replaced language's aliases are gone");
    assert_eq!(set.iter().count(), 22);
}

#[test]
fn a_name_is_not_hidden_by_an_alias() {
    let set =
        LanguageSet::built_in().with_directory_files(vec![file("x.yaml", "aliases: [python]\n")]).unwrap();
    assert_eq!(set.find("python").unwrap().name, "python");
}

#[test]
fn clashes_and_mistakes_name_their_files() {
    let clash = LanguageSet::built_in()
        .with_directory_files(vec![file("a.yaml", "aliases: [q]\n"), file("q.yaml", "")])
        .unwrap_err();
    assert_eq!(clash.to_string(), "`a.yaml` and `q.yaml` both define the language or alias `q`");
    assert!(clash.hint().is_some());
    let mistake =
        LanguageSet::built_in().with_directory_files(vec![file("a.yaml", "nmae: b\n")]).unwrap_err();
    assert_eq!(mistake.to_string(), "a.yaml:4:1: unknown key `nmae`");
    assert_eq!(mistake.hint().as_deref(), Some("did you mean `name`?"));
}

#[test]
fn an_unknown_language_gets_a_suggestion_and_the_list() {
    let set = LanguageSet::built_in();
    let unknown = set.find("pyhton").unwrap_err();
    assert_eq!(unknown.to_string(), "no language is called `pyhton`");
    assert_eq!(
        unknown.hint(),
        "did you mean `python`? known languages are bash, c, cpp, duckdb, fortran, go, java, javascript, julia, lua, \
         ocaml, ocaml-toplevel, perl, php, postgresql, python, r, ruby, rust, sqlite, typescript"
    );
    assert!(!set.find("brainfuck").unwrap_err().hint().contains("did you mean"));
}
