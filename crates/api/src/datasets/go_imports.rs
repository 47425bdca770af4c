//! The imports of HumanEval-X's Go: which packages a part of a program needs, and how it may have more.
//!
//! Go refuses packages that are imported and not used, and a completion may or may not use what its prompt imports. So
//! each import comes with a use that does nothing.

use std::collections::BTreeSet;

/// A package that rows use, and something of it that costs nothing to name.
const PACKAGES: [(&str, &str); 12] = [
    ("bytes", "bytes.Equal"),
    ("crypto/md5", "md5.New"),
    ("fmt", "fmt.Sprint"),
    ("github.com/stretchr/testify/assert", "assert.True"),
    ("math", "math.Sqrt"),
    ("math/rand", "rand.Int"),
    ("regexp", "regexp.MustCompile"),
    ("sort", "sort.Ints"),
    ("strconv", "strconv.Itoa"),
    ("strings", "strings.ToUpper"),
    ("testing", "testing.Short"),
    ("time", "time.Now"),
];

/// The head of a file of `package main`: imports of what `imports`, the text of import declarations, names and of what
/// any of `texts` uses.
pub(super) fn go_head(imports: &str, texts: &[&str]) -> String {
    let named = imports.split('"').skip(1).step_by(2);
    let used =
        PACKAGES.iter().map(|(path, _)| *path).filter(|path| texts.iter().any(|text| uses(text, path)));
    let packages: BTreeSet<&str> = named.chain(used).collect();
    let imports: String = packages.iter().map(|package| format!("import \"{package}\"\n")).collect();
    let known = PACKAGES.iter().filter(|(path, _)| packages.contains(path));
    let uses: String = known.map(|(_, symbol)| format!("var _ = {symbol}\n")).collect();
    format!("package main\n\n{imports}{uses}\n")
}

/// Whether `text` has the package's name, as a word, with a full stop behind it.
fn uses(text: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    text.match_indices(&format!("{name}.")).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_imported_is_used() {
        assert_eq!(
            go_head("import (\n    \"math\"\n)\n", &["x := strings.Fields(s)", "a.sort.b mysort.c"]),
            "package main\n\nimport \"math\"\nimport \"strings\"\nvar _ = math.Sqrt\nvar _ = strings.ToUpper\n\n"
        );
        assert_eq!(
            go_head("", &["rand.Int()"]),
            "package main\n\nimport \"math/rand\"\nvar _ = rand.Int\n\n"
        );
        assert_eq!(go_head("import \"os\"", &[]), "package main\n\nimport \"os\"\n\n");
    }
}
