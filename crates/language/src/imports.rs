//! Which modules a Python program names in import statements.
//!
//! A look at the lines, no parser: what stands in a string that spans lines is taken for an import too. Nothing depends on
//! it but which interpreter a program is a copy of.

/// The top-level packages named, in order, with repetitions.
pub(crate) fn imported_modules(source: &[u8]) -> impl Iterator<Item = &str> {
    source.split(|byte| *byte == b'\n').flat_map(statements).flat_map(modules)
}

/// What may be statements of a line: `try: import a; import b` holds two. What is no UTF-8 holds none.
fn statements(line: &[u8]) -> impl Iterator<Item = &str> {
    let line = std::str::from_utf8(line).unwrap_or_default();
    let code = line.split_once('#').map_or(line, |(code, _)| code);
    code.split([';', ':']).map(str::trim)
}

fn modules(statement: &str) -> impl Iterator<Item = &str> {
    let after = |word: &str| statement.strip_prefix(word).filter(|rest| rest.starts_with([' ', '\t']));
    let named = match after("from") {
        // Only the first name of what is left is the module's.
        Some(rest) => rest.split_whitespace().next().unwrap_or_default(),
        None => after("import").unwrap_or_default(),
    };
    named.split(',').filter_map(top_level)
}

/// `a` of `a.b as c`.
fn top_level(named: &str) -> Option<&str> {
    let named = named.trim();
    let end = named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len());
    named.get(..end).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Vec<&str> {
        imported_modules(source.as_bytes()).collect()
    }

    #[test]
    fn every_form_of_the_statement_is_seen() {
        assert_eq!(of("import numpy\n"), ["numpy"]);
        assert_eq!(of("import numpy as np, pandas.core as c , os\n"), ["numpy", "pandas", "os"]);
        assert_eq!(of("from scipy.stats import norm, t\r\n"), ["scipy"]);
        assert_eq!(of("    from  sympy\timport *  # all of it\n"), ["sympy"]);
        assert_eq!(
            of("try: import numpy; import pandas\nexcept ImportError: numpy = None\n"),
            ["numpy", "pandas"]
        );
        assert_eq!(of("if True:\n\timport networkx\\\n  as nx\n"), ["networkx"]);
    }

    #[test]
    fn what_is_no_import_is_not_taken_for_one() {
        assert_eq!(
            of("imports = 1\nfrom_ = 2\nx.import_ = 3\n# import numpy\nprint('import')\n"),
            [] as [&str; 0]
        );
        assert_eq!(of("from . import a\nfrom .b import c\nimport\nfrom\n"), [] as [&str; 0]);
        assert_eq!(imported_modules(b"import a\n\xff import b\nimport c\n").collect::<Vec<_>>(), ["a", "c"]);
    }
}
