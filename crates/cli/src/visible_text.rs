//! Text of programs and models, made safe for a terminal.
//!
//! What a hostile program printed must not move the cursor, retitle the window, or make one line look like another.

/// `text` with every character that a terminal acts upon shown instead of sent. Line feeds and tabs stay.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            // Each of the first 32 has a picture at the same place of this block.
            '\0'..='\x1f' => shown.extend(char::from_u32(0x2400 + u32::from(character))),
            '\x7f' => shown.push('␡'),
            other if is_acted_upon(other) => shown.push_str(&format!("<U+{:04X}>", u32::from(other))),
            other => shown.push(other),
        }
    }
    shown
}

/// `json` with the same characters escaped, which changes no value: outside of strings JSON has none of them.
pub(crate) fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_acted_upon(character) {
            let mut units = [0; 2];
            shown.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Controls (some terminals take U+009B for an escape sequence), characters that change the direction of what
/// follows or cannot be seen, and line ends that are not line feeds.
const fn is_acted_upon(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The same on one line, cut to `characters_max` characters.
pub(crate) fn visible_line(text: &str, characters_max: usize) -> String {
    let line = visible(text.trim()).replace('\n', "␊").replace('\t', " ");
    if line.chars().count() <= characters_max {
        return line;
    }
    line.chars().take(characters_max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_acts_upon_is_left() {
        for (text, expected) in [
            ("plain\n\ttext é 漢", "plain\n\ttext é 漢"),
            ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
            ("a\rb\x08c\x7f", "a␍b␈c␡"),
            ("\u{9b}31m", "<U+009B>31m"),
            ("ab\u{202e}cd\u{2066}", "ab<U+202E>cd<U+2066>"),
            ("\u{200b}\u{feff}", "<U+200B><U+FEFF>"),
        ] {
            assert_eq!(visible(text), expected);
        }
        let every: String = (0..0x3000).filter_map(char::from_u32).collect();
        assert!(visible(&every).chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
    }

    #[test]
    fn json_keeps_its_value() {
        let every: String = (0..0x3000).chain(0xe0000..0xe0080).filter_map(char::from_u32).collect();
        let json = serde_json::to_string(&every).unwrap();
        let shown = visible_json(&json);
        assert!(!shown.contains(is_acted_upon));
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), every);
        assert_eq!(visible_json("\"a\u{9b}\u{e0001}é\"\n"), "\"a\\u009b\\udb40\\udc01é\"\n");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(visible_line(" a\nb\tc ", 9), "a␊b c");
        assert_eq!(visible_line("abcdef", 4), "abc…");
    }
}
