//! The `root` section: what is read, what is refused, and with which words.

use rollcage_language::{Fixup, FixupChange, Language, LanguageSet, RootRecipe};

fn parse(root: &str) -> Result<Option<RootRecipe>, String> {
    let text = format!("prompt: p\nfilename: a.x\nexecute: x a.x\nroot: {root}\n");
    Language::parse("lang.yaml", &text).map(|language| language.root).map_err(|error| error.to_string())
}

#[test]
fn a_recipe_is_read_whole() {
    let fixup = |path: &str, change| Fixup { path: path.to_owned(), change };
    let text = |text: &str| text.to_owned();
    let parsed = parse(
        "{debian: bullseye, archived: true, packages: [julia, g++, libc6.1-dev], fixups: [\
         {path: /usr/bin/cc, link: gcc}, {path: /etc/a, content: \"x\\n\"}, \
         {path: '/usr/lib/{triplet}/b', replace: abc, with: xyz}]}",
    );
    let expected = RootRecipe {
        suite: text("bullseye"),
        is_archived: true,
        packages: ["julia", "g++", "libc6.1-dev"].map(str::to_owned).to_vec(),
        fixups: vec![
            fixup("/usr/bin/cc", FixupChange::Link(text("gcc"))),
            fixup("/etc/a", FixupChange::Content(text("x\n"))),
            fixup("/usr/lib/{triplet}/b", FixupChange::Replace { text: text("abc"), with: text("xyz") }),
        ],
    };
    assert_eq!(parsed, Ok(Some(expected)));
    let least = parse("{debian: sid, packages: [hello]}").unwrap().unwrap();
    assert!(!least.is_archived && least.fixups.is_empty());
    let plain = Language::parse("l.yaml", "prompt: p\nfilename: a.x\nexecute: x a.x\n").unwrap();
    assert_eq!(plain.root, None);
}

/// Names become words of files and command lines that a package manager reads, and paths are changed by its user.
#[test]
fn what_a_recipe_may_not_say() {
    let fixup = |fixup: &str| format!("{{debian: a, packages: [ab], fixups: [{fixup}]}}");
    for (root, part) in [
        ("{packages: [ab]}".to_owned(), "missing key `debian`"),
        ("{debian: a, packages: []}".to_owned(), "a root is made of at least one package"),
        ("{debian: a, packages: [ab], mirror: x}".to_owned(), "unknown key `mirror`"),
        ("{debian: 'a main', packages: [ab]}".to_owned(), "`a main` is not the name of a Debian suite"),
        ("{debian: ../a, packages: [ab]}".to_owned(), "`../a` is not the name of a Debian suite"),
        ("{debian: a, packages: [--force]}".to_owned(), "`--force` is not the name of a Debian package"),
        ("{debian: a, packages: [dash-]}".to_owned(), "`dash-` is not the name of a Debian package"),
        ("{debian: a, packages: [a/b]}".to_owned(), "`a/b` is not the name of a Debian package"),
        ("{debian: a, packages: [ab=1]}".to_owned(), "`ab=1` is not the name of a Debian package"),
        (fixup("{path: etc/a, content: x}"), "`etc/a` is not the absolute path of a file"),
        (fixup("{path: /etc/../../a, content: x}"), "`/etc/../../a` is not the absolute path of a file"),
        (fixup("{path: /, link: x}"), "`/` is not the absolute path of a file"),
        (fixup("{path: /a}"), "the fixup of `/a` needs one of `link`, `content`, and `replace` with `with`"),
        (fixup("{path: /a, link: b, content: c}"), "the fixup of `/a` needs one of"),
        (fixup("{path: /a, replace: b}"), "the fixup of `/a` needs one of"),
        (
            fixup("{path: /a, replace: b, with: cd}"),
            "`replace` and `with` of `/a` are not of the same length",
        ),
    ] {
        let refused = parse(&root).unwrap_err();
        assert!(refused.contains(part), "{root}: {refused}");
        assert!(refused.starts_with("lang.yaml:"), "{root}: {refused}");
    }
}

#[test]
fn julia_has_a_root_of_its_own() {
    let set = LanguageSet::built_in();
    let julia = set.find("jl").unwrap();
    assert_eq!(julia.root.as_ref().map(|recipe| recipe.suite.as_str()), Some("bullseye"));
    assert_eq!(julia.install, None, "nothing of it is installed on the host");
}
