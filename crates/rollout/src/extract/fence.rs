//! Fenced code blocks in text a model wrote.
//!
//! Owns where a block starts and ends and which of several counts; what it is used for is the dialect's business.
//!
//! Fences are read by the CommonMark rules (three or more backticks or tildes; closed by at least as many of the
//! same, alone on a line; the indentation of the opening line is removed from the content), with two departures
//! that models need. Containers are not parsed: a fence may be indented at will, so that one inside a list item
//! is found. HTML blocks are not parsed: a line such as `</think>` directly above a fence would otherwise
//! swallow it.

use std::ops::Range;

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FencedBlock {
    /// The first word of the info string, lower-cased, without the braces and file names some models add.
    pub tag: Option<String>,
    /// The other words of the info string.
    pub marks: Vec<String>,
    /// The content, each line with its line feed; carriage returns before a line feed are removed.
    pub code: String,
    /// Whether a closing fence was seen. A block that is not closed runs to the end of the text.
    pub closed: bool,
    /// The block with its fences, as a range of the text.
    pub range: Range<usize>,
}

impl FencedBlock {
    /// Whether nothing but white space stands in it.
    pub fn is_blank(&self) -> bool {
        self.code.trim().is_empty()
    }
}

/// Which of several blocks counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// The first: what follows it may be imagined output.
    First,
    /// The last: earlier ones may be drafts.
    #[default]
    Last,
}

/// Every fenced block of `text`, in order.
pub fn fenced_blocks(text: &str) -> Vec<FencedBlock> {
    let mut blocks = Vec::new();
    let mut open: Option<(Fence, FencedBlock)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let body = line.trim_end_matches('\n').trim_end_matches('\r');
        match &mut open {
            Some((fence, block)) => {
                block.range.end = at;
                if fence.is_closed_by(body) {
                    block.closed = true;
                    blocks.extend(open.take().map(|(_, block)| block));
                } else {
                    block.code.push_str(strip_indent(body, fence.indent));
                    // The last line of a text may lack its line feed; its content keeps that shape.
                    if line.ends_with('\n') {
                        block.code.push('\n');
                    }
                }
            }
            None => {
                if let Some((fence, info)) = Fence::opened_by(body) {
                    let (tag, marks) = read_info(info);
                    let block =
                        FencedBlock { tag, marks, code: String::new(), closed: false, range: start..at };
                    open = Some((fence, block));
                }
            }
        }
    }
    blocks.extend(open.map(|(_, block)| block));
    blocks
}

/// The block that counts for a language known by `names`: among blocks tagged with one of the names if there are
/// any, else among untagged ones. Blank blocks and blocks of other languages never count.
///
/// With no names every block that is not blank is a candidate.
pub fn choose_block<'a, S: AsRef<str>>(
    blocks: &'a [FencedBlock],
    names: &[S],
    pick: Pick,
) -> Option<&'a FencedBlock> {
    let candidates = blocks.iter().filter(|block| !block.is_blank());
    if names.is_empty() {
        return pick_one(candidates, pick);
    }
    let is_named = |block: &&FencedBlock| {
        block.tag.as_ref().is_some_and(|tag| names.iter().any(|name| name.as_ref().eq_ignore_ascii_case(tag)))
    };
    pick_one(candidates.clone().filter(is_named), pick)
        .or_else(|| pick_one(candidates.filter(|block| block.tag.is_none()), pick))
}

fn pick_one<'a>(
    mut candidates: impl DoubleEndedIterator<Item = &'a FencedBlock>,
    pick: Pick,
) -> Option<&'a FencedBlock> {
    match pick {
        Pick::First => candidates.next(),
        Pick::Last => candidates.next_back(),
    }
}

/// A line shorter than this run of fence characters opens nothing.
const FENCE_CHARS_MIN: usize = 3;

/// Beyond the opening fence's indentation, more spaces than this make a line content (CommonMark 4.5).
const CLOSING_INDENT_MAX: usize = 3;

struct Fence {
    character: char,
    length: usize,
    indent: usize,
}

impl Fence {
    fn opened_by(line: &str) -> Option<(Self, &str)> {
        let rest = line.trim_start_matches([' ', '\t']);
        let indent = line.len() - rest.len();
        let character = rest.chars().next().filter(|first| matches!(first, '`' | '~'))?;
        let info = rest.trim_start_matches(character);
        let length = rest.len() - info.len();
        // A backtick after a backtick fence makes the line inline code, as in "```x```".
        let is_inline = character == '`' && info.contains('`');
        (length >= FENCE_CHARS_MIN && !is_inline).then(|| (Self { character, length, indent }, info.trim()))
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let rest = line.trim_start_matches([' ', '\t']);
        let after = rest.trim_start_matches(self.character);
        line.len() - rest.len() <= self.indent + CLOSING_INDENT_MAX
            && rest.len() - after.len() >= self.length
            && after.trim().is_empty()
    }
}

/// Removes up to `indent` leading spaces or tabs.
fn strip_indent(line: &str, indent: usize) -> &str {
    let present = line.len() - line.trim_start_matches([' ', '\t']).len();
    &line[present.min(indent)..]
}

/// Splits an info string: `python`, `{.python}`, `python:main.py`, `python answer`.
fn read_info(info: &str) -> (Option<String>, Vec<String>) {
    let mut words = info.split([' ', '\t', ',', '{', '}']).filter(|word| !word.is_empty());
    let tag = words
        .next()
        .map(|word| word.trim_start_matches('.'))
        .map(|word| word.split(':').next().unwrap_or(word).to_ascii_lowercase())
        .filter(|tag| !tag.is_empty());
    (tag, words.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Vec<(Option<String>, String, bool)> {
        fenced_blocks(text).into_iter().map(|block| (block.tag, block.code, block.closed)).collect()
    }

    #[test]
    fn blocks_are_found_as_commonmark_reads_them() {
        let check = |text: &str, expected: &[(Option<&str>, &str, bool)]| {
            let expected: Vec<_> = expected
                .iter()
                .map(|(tag, code, closed)| (tag.map(str::to_owned), (*code).to_owned(), *closed))
                .collect();
            assert_eq!(shape(text), expected, "{text:?}");
        };
        check("```python\nx\n```\n", &[(Some("python"), "x\n", true)]);
        check("```\nx\n```", &[(None, "x\n", true)]);
        check("```py\nx", &[(Some("py"), "x", false)]);
        check("~~~py\n```\n~~~", &[(Some("py"), "```\n", true)]);
        check("````\n```\n````", &[(None, "```\n", true)]);
        check("use ```x``` please", &[]);
        check("- a\n  ```py\n  x\n    y\n  ```", &[(Some("py"), "x\n  y\n", true)]);
        check("```Py\r\nx\r\n```\r\n", &[(Some("py"), "x\n", true)]);
        check("</think>\n```py\nx\n```", &[(Some("py"), "x\n", true)]);
        check("```{.python}\nx\n```", &[(Some("python"), "x\n", true)]);
        check("```python:main.py\nx\n```", &[(Some("python"), "x\n", true)]);
        check("```\n     ```\n```", &[(None, "     ```\n", true)]);
    }

    #[test]
    fn ranges_cover_the_fences_and_marks_are_kept() {
        let text = "a\n```py answer\nx\n```\nb";
        let blocks = fenced_blocks(text);
        assert_eq!(&text[blocks[0].range.clone()], "```py answer\nx\n```\n");
        assert_eq!(blocks[0].marks, ["answer"]);
    }

    #[test]
    fn the_asked_language_beats_untagged_and_others_never_count() {
        let check = |text: &str, pick, expected: Option<&str>| {
            let blocks = fenced_blocks(text);
            assert_eq!(
                choose_block(&blocks, &["python", "py"], pick).map(|b| b.code.trim()),
                expected,
                "{text:?}"
            );
        };
        let program_and_output = "```py\na\n```\n```\n1\n```\n";
        check(program_and_output, Pick::Last, Some("a"));
        check("```\na\n```\n```\nb\n```\n", Pick::Last, Some("b"));
        check("```\na\n```\n```\nb\n```\n", Pick::First, Some("a"));
        check("```bash\nls\n```\n", Pick::Last, None);
        check("```PYTHON\na\n```\n```py\n\n```", Pick::Last, Some("a"));
    }
}
