//! Language files as their authors write them: what is read, what is refused, and with which words.

use std::time::Duration;

use rollcage_language::{Container, Expected, Install, Language, LanguageError, SessionKind};
use rollcage_types::ByteSize;

const MINIMAL: &str = "prompt: p\nfilename: a.x\nexecute: x a.x\n";

fn parse(text: &str) -> Language {
    Language::parse("dir/lang.yaml", text).expect("the file is well formed")
}

fn refused(text: &str) -> String {
    told(&Language::parse("dir/lang.yaml", text).expect_err("the file is wrong"))
}

/// The message, and the advice as commands print it.
fn told(error: &LanguageError) -> String {
    let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}"));
    format!("{error}{}", hint.unwrap_or_default())
}

#[test]
fn shapes_of_agnostics_files_load_unmodified() {
    let plain =
        parse("prompt: Use X.\ninstall: apt-get install -y x\nfilename: snippet.x\nexecute: x snippet.x\n");
    assert_eq!(plain.install, Some(Install::Shell("apt-get install -y x".to_owned())));
    assert_eq!(plain.run_command().argv, ["x", "snippet.x"]);
    assert_eq!((plain.name.as_str(), plain.toolchain.as_slice()), ("lang", &["x".to_owned()][..]));

    let image = parse(
        "prompt: Use X.\ncontainer:\n  base-image: \"x:1.2.3\"\n  type: debian\nfilename: s.x\nexecute: x s.x\n",
    );
    let container = Container { base_image: Some("x:1.2.3".to_owned()), family: Some("debian".to_owned()) };
    assert_eq!(image.container, Some(container));

    let compiled = parse(
        "install: apt-get install -y xc\nprompt: |\n  Long.\n  Lines: \"with\" #marks\nfilename: s.x\n\
         compile: xc -o s.out s.x\nexecute: ./s.out\n",
    );
    assert_eq!(compiled.compile_command().unwrap().argv, ["xc", "-o", "s.out", "s.x"]);
    assert_eq!(compiled.toolchain, ["xc"]);
    assert_eq!(compiled.prompt, "Long.\nLines: \"with\" #marks\n");

    let instructions = parse(
        "prompt: p\ninstall:\n  container-instructions: |\n    RUN a b\n    ENV C='d'\nfilename: s.x\n\
         execute: x -r base s.x\n",
    );
    let lines = "RUN a b\nENV C='d'\n".to_owned();
    assert_eq!(instructions.install, Some(Install::ContainerInstructions(lines)));
}

#[test]
fn our_own_keys_are_read() {
    let language = parse(
        "name: X\naliases: [ex, x++]\ndisplay: The X\nprompt: p\nfilename: a.x\nexecute: x a.x\n\
         toolchain: [x, xd]\nversion: x --version\nsession: python\n\
         limits: {cpu_time: 1500ms, memory: 64MiB, processes: 3, idle_time: 2}\nenv_vars: {B: 1, A: two}\n\
         completion_proof: 'done({path}, {token})'\n\
         tests:\n- {name: t, program: p, expect: 3}\n- {name: u, program: p, expect: memory_limit, stdin: '7'}\n",
    );
    assert_eq!((language.name.as_str(), language.display.as_str()), ("X", "The X"));
    assert!(language.answers_to("X++") && language.answers_to("x") && !language.answers_to("lang"));
    assert_eq!(language.limits.cpu_time, Some(Duration::from_millis(1500)));
    assert_eq!(language.limits.idle_time, Some(Duration::from_secs(2)));
    assert_eq!(language.limits.memory, Some(ByteSize::mib(64)));
    assert_eq!((language.limits.processes, language.limits.stack), (Some(3), None));
    assert_eq!(language.env_vars, [("A", "two"), ("B", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert_eq!(language.session, Some(SessionKind::Python));
    let expected: Vec<_> = language.tests.iter().map(|test| test.expected).collect();
    assert_eq!(expected, [Expected::ExitCode(3), Expected::MemoryLimit]);
    assert_eq!(language.tests[1].stdin, "7");
}

#[test]
fn mistakes_are_told_with_position_and_hint() {
    for (text, expected) in [
        (
            "prompt: p\nfilename: a.x\nexectue: x a.x\n".to_owned(),
            "dir/lang.yaml:3:1: unknown key `exectue`\nhint: did you mean `execute`?",
        ),
        (
            format!("{MINIMAL}limits:\n  memroy: 1GiB\n"),
            "dir/lang.yaml:5:3: unknown key `memroy`\nhint: did you mean `memory`?",
        ),
        (
            format!("{MINIMAL}session: pyton\n"),
            "dir/lang.yaml:4:1: unknown value `pyton`\nhint: did you mean `python`?",
        ),
        (
            format!("{MINIMAL}install: {{apt: x}}\n"),
            "dir/lang.yaml:4:11: unknown key `apt`\nhint: known here are container-instructions",
        ),
        (
            "prompt: p\nfilename: a.x\n".to_owned(),
            "dir/lang.yaml:2:1: missing key `execute`\nhint: every language has `prompt`, `filename` and `execute`",
        ),
        (
            format!("{MINIMAL}limits: {{memory: 5 parsecs}}\n"),
            "dir/lang.yaml:4:18: `parsecs` is not a unit of size; use one of B, KiB, MiB, GiB, kB, MB, GB",
        ),
        (
            "prompt: p\nfilename: ../a.x\nexecute: x a.x\n".to_owned(),
            "dir/lang.yaml:2:11: `../a.x` is not a plain relative path: it has an empty, `.` or `..` component",
        ),
        (format!("{MINIMAL}compile: \"\"\n"), "dir/lang.yaml:4:10: the command is empty"),
        (
            format!("{MINIMAL}completion_proof: '{{token}}'\n"),
            "dir/lang.yaml:4:19: `completion_proof` does not contain `{path}`",
        ),
        (
            format!("{MINIMAL}tests:\n- {{name: t, program: p, expect: 256}}\n"),
            "dir/lang.yaml:5:33: `256` is not an exit code from 0 to 255, `compile_error`, `runtime_error`, \
             `time_limit` or `memory_limit`",
        ),
        (
            format!("{MINIMAL}env_vars: {{1A: x}}\n"),
            "dir/lang.yaml:4:12: `1A` cannot name an environment variable",
        ),
    ] {
        assert_eq!(refused(&text), expected, "{text}");
    }
    for (text, part) in [
        (format!("{MINIMAL}prompt: again\n"), "dir/lang.yaml:4:1: "),
        (format!("{MINIMAL}aliases: [a\n"), "dir/lang.yaml:"),
        ("- a list\n".to_owned(), "dir/lang.yaml:1:1: "),
        (String::new(), "dir/lang.yaml"),
        (format!("{MINIMAL}limits: {{processes: many}}\n"), "dir/lang.yaml:4:21: "),
    ] {
        let message = refused(&text);
        assert!(message.starts_with(part) && message.lines().count() <= 2, "{message}");
    }
}

#[test]
fn a_file_without_a_usable_name_is_refused() {
    let message = told(&Language::parse("dir/my lang.yaml", MINIMAL).unwrap_err());
    assert!(
        message.contains("`my lang` is not a name") && message.ends_with("hint: give it a `name`"),
        "{message}"
    );
    let huge = format!("prompt: {}\n", "x".repeat(300_000));
    assert!(refused(&huge).contains("at most 256 KiB"));
}
