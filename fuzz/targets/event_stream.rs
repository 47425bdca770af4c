//! Server-sent events of a model's server, against a reader that sees the whole stream at once.
#![no_main]

#[path = "../../crates/engine/src/policy/sse.rs"]
mod sse;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The first byte says where the network cuts.
    let Some((&length, stream)) = input.split_first() else { return };
    let pieces = stream.chunks(usize::from(length).max(1));
    let found = decode(pieces);
    assert_eq!(found, decode([stream]), "it matters where the network cuts");
    if let Ok(text) = str::from_utf8(stream) {
        assert_eq!(found.as_deref(), Ok(&whole(text)[..]));
    }
});

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, sse::SseError> {
    let mut decoder = sse::SseDecoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events)?;
    }
    Ok(events)
}

/// The data of each event, as the standard says it: lines end in CRLF, LF or CR, and a blank one ends an event.
fn whole(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let mut data: Vec<&str> = Vec::new();
    let mut lines: Vec<&str> = text.split('\n').collect();
    // What follows the last end of a line is a line cut off.
    lines.pop();
    for line in lines {
        match line.split_once(':').unwrap_or((line, "")) {
            _ if line.is_empty() => {
                if !data.is_empty() {
                    events.push(data.join("\n"));
                }
                data.clear();
            }
            ("data", value) => data.push(value.strip_prefix(' ').unwrap_or(value)),
            _ => {}
        }
    }
    events
}
