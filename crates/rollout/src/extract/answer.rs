//! Finding the program in a whole answer, by our own rule or by one that published results were made with.

use super::fence::{Pick, choose_block, fenced_blocks};

/// How a program is found in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtractionRule {
    /// Ours: the picked fenced block of the asked language, else the picked untagged one; see
    /// [`choose_block`](super::choose_block). An answer without any fence is no program.
    Fenced(Pick),
    /// The text is the program.
    Whole,
    /// The Agnostics framework: the last closed block whose fences stand at the start of their lines, in any
    /// language; without an opening fence the whole text if it has a line feed or fewer than 100 characters.
    Agnostics,
    /// LiveCodeBench's chat rule: what lies between the last two lines that contain three backticks.
    LiveCodeBench,
    /// SandboxFusion's rule up to its guessing: the first closed block tagged with one of the names, else the
    /// first closed block, else everything after the first opening line. Its heuristics for code without
    /// fences are left out: they guess.
    SandboxFusion,
}

/// Why an answer holds no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCode {
    /// Nothing that the rule accepts as code.
    #[error("no code block was found")]
    NotFound,
    /// Code blocks, but of other languages.
    #[error("only a code block tagged `{tag}` was found")]
    OtherLanguage {
        /// The tag of the block that would have counted.
        tag: String,
    },
    /// The block that counts has no closing fence and the completion was cut off.
    #[error("the completion was cut off inside a code block")]
    Unclosed,
}

impl NoCode {
    /// Blames the language if a block of another one is there, else the absence of code.
    pub(super) fn explain(blocks: &[super::FencedBlock]) -> Self {
        let other = blocks.iter().filter(|block| !block.is_blank()).find_map(|block| block.tag.clone());
        other.map_or(Self::NotFound, |tag| Self::OtherLanguage { tag })
    }
}

impl ExtractionRule {
    /// The program in `text`. `names` are the language's tags; `is_truncated` says that the completion hit its
    /// length limit, so that a block without an end is a fragment and not a program.
    pub fn extract<S: AsRef<str>>(
        self,
        text: &str,
        names: &[S],
        is_truncated: bool,
    ) -> Result<String, NoCode> {
        match self {
            Self::Fenced(pick) => {
                let blocks = fenced_blocks(text);
                let block = choose_block(&blocks, names, pick).ok_or_else(|| NoCode::explain(&blocks))?;
                if !block.closed && is_truncated { Err(NoCode::Unclosed) } else { Ok(block.code.clone()) }
            }
            Self::Whole => Ok(text.to_owned()),
            Self::Agnostics => agnostics(text).map(str::to_owned).ok_or(NoCode::NotFound),
            Self::LiveCodeBench => livecodebench(text).ok_or(NoCode::NotFound),
            Self::SandboxFusion => sandboxfusion(text, names).map(str::to_owned).ok_or(NoCode::NotFound),
        }
    }
}

/// Shorter texts without a fence are taken whole by [`ExtractionRule::Agnostics`].
const AGNOSTICS_WHOLE_TEXT_BYTES_MAX: usize = 100;

fn agnostics(text: &str) -> Option<&str> {
    let mut last = None;
    let mut rest = text;
    let mut saw_opening = false;
    // An opening line needs its line feed: a fence that ends the text opens nothing.
    while let Some(start) = find_line(rest, |line| line.starts_with("```") && line.ends_with('\n')) {
        saw_opening = true;
        let content = rest[start.end..].trim_start_matches('\n');
        let Some(end) = find_line(content, is_bare_fence) else { break };
        last = Some(&content[..end.start]);
        rest = &content[end.end..];
    }
    if saw_opening {
        return last.map(without_leading_fence);
    }
    let is_taken = text.contains('\n') || (1..AGNOSTICS_WHOLE_TEXT_BYTES_MAX).contains(&text.chars().count());
    let end = find_line(text, is_bare_fence).map_or(text.len(), |line| line.start);
    is_taken.then(|| &text[..end])
}

/// A block whose content itself opens with a fence line, as in a quoted Markdown example.
fn without_leading_fence(code: &str) -> &str {
    match code.split_once('\n') {
        Some((first, rest)) if first.starts_with("```") => rest.trim_start_matches('\n'),
        _ => code,
    }
}

fn is_bare_fence(line: &str) -> bool {
    line.trim_end_matches('\n') == "```"
}

/// The range of the first line that satisfies `wanted`, line feed included.
fn find_line(text: &str, wanted: impl Fn(&str) -> bool) -> Option<std::ops::Range<usize>> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if wanted(line) {
            return Some(at..at + line.len());
        }
        at += line.len();
    }
    None
}

fn livecodebench(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut fences = (0..lines.len()).rev().filter(|&line| lines[line].contains("```"));
    let (last, before) = (fences.next()?, fences.next()?);
    Some(lines[before + 1..last].join("\n"))
}

fn sandboxfusion<'a, S: AsRef<str>>(text: &'a str, names: &[S]) -> Option<&'a str> {
    let mut first_any = None;
    let mut rest = text;
    while let Some((tag, body)) = opening(rest) {
        let Some((code, after)) = closed_body(body) else { break };
        if names.iter().any(|name| name.as_ref().eq_ignore_ascii_case(tag)) {
            return Some(code);
        }
        first_any = first_any.or(Some(code));
        rest = after;
    }
    first_any.or_else(|| opening(text).map(|(_, body)| body))
}

/// Splits at the first three backticks that are followed by a line feed somewhere.
fn opening(text: &str) -> Option<(&str, &str)> {
    let after = &text[text.find("```")? + 3..];
    after.split_once('\n').map(|(tag, body)| (tag.trim(), body))
}

/// Splits at the first line feed after which only blanks precede three backticks.
fn closed_body(body: &str) -> Option<(&str, &str)> {
    body.match_indices('\n').find_map(|(at, _)| {
        let next = body[at + 1..].trim_start_matches([' ', '\t']);
        next.strip_prefix("```").map(|after| (&body[..at], after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rule_says_why_it_finds_nothing() {
        let check = |text: &str, is_truncated, expected: Result<&str, NoCode>| {
            let found = ExtractionRule::Fenced(Pick::Last).extract(text, &["python"], is_truncated);
            assert_eq!(found, expected.map(str::to_owned), "{text:?}");
        };
        check("```python\nx\n```", true, Ok("x\n"));
        check("```python\nx", true, Err(NoCode::Unclosed));
        check("```python\nx", false, Ok("x"));
        check("prose", false, Err(NoCode::NotFound));
        check("```rust\nx\n```", false, Err(NoCode::OtherLanguage { tag: "rust".to_owned() }));
    }
}
