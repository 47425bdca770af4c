//! Spans between an opening and a closing tag, such as `<execute>` and `</execute>`.

use super::fence::FencedBlock;

/// What stands between a pair of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TagSpan<'a> {
    pub(super) content: &'a str,
    /// Whether the closing tag was seen; without it the content runs to the end of the text.
    pub(super) closed: bool,
    /// Where the opening tag starts.
    pub(super) start: usize,
}

/// The spans of `<name>` in order. An opening tag inside one of `fences` is code and opens nothing.
pub(super) fn tag_spans<'a>(text: &'a str, name: &str, fences: &[FencedBlock]) -> Vec<TagSpan<'a>> {
    let (opening, closing) = (format!("<{name}>"), format!("</{name}>"));
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find(&opening) {
        let start = at + offset;
        let from = start + opening.len();
        if let Some(fence) = fences.iter().find(|fence| fence.range.contains(&start)) {
            at = fence.range.end.max(from);
            continue;
        }
        let length = text[from..].find(&closing);
        let to = length.map_or(text.len(), |length| from + length);
        spans.push(TagSpan { content: &text[from..to], closed: length.is_some(), start });
        at = length.map_or(text.len(), |_| to + closing.len());
    }
    spans
}

/// `text` without what a model thought aloud: everything up to the first closing tag of `name`, whose opening
/// tag the chat template may have written. An opening tag that is never closed leaves nothing.
pub(super) fn after_reasoning<'a>(text: &'a str, name: &str) -> &'a str {
    if let Some((_, after)) = text.split_once(&format!("</{name}>")) {
        after
    } else if text.trim_start().starts_with(&format!("<{name}>")) {
        ""
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::fence::fenced_blocks;
    use super::*;

    #[test]
    fn spans_are_found_outside_fences() {
        let check = |text: &str, expected: &[(&str, bool)]| {
            let found = tag_spans(text, "a", &fenced_blocks(text));
            let found: Vec<_> = found.iter().map(|span| (span.content, span.closed)).collect();
            assert_eq!(found, expected, "{text:?}");
        };
        check("<a>1</a> x <a>2</a>", &[("1", true), ("2", true)]);
        check("<a>1", &[("1", false)]);
        check("```py\nprint('<a>')\n```\n<a>1</a>", &[("1", true)]);
        check("<a>\n```py\nx\n```\n</a>", &[("\n```py\nx\n```\n", true)]);
        check("</a>", &[]);
    }

    #[test]
    fn thoughts_are_set_aside() {
        let check = |text: &str, expected: &str| assert_eq!(after_reasoning(text, "think"), expected);
        check("<think>```py\nx\n```</think>y", "y");
        check("hidden start</think>y", "y");
        check("<think>never ends", "");
        check("y", "y");
    }
}
