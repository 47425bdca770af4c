//! A decoder of server-sent events, as far as completions need it: the data of each event.
//!
//! Bytes are gathered into lines before they are read as UTF-8, so it does not matter where the network cuts them.

/// Bytes of one line. A whole completion sent as a single event stays far below this.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of all data lines of one event.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SseError {
    /// A line does not end.
    #[error("a line of the stream is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// An event does not end.
    #[error("an event of the stream is longer than {EVENT_BYTES_MAX} bytes")]
    EventTooLong,
    /// The text is not UTF-8.
    #[error("the stream is not UTF-8")]
    NotUtf8,
}

/// Turns pieces of a byte stream into the data of events.
#[derive(Debug, Default)]
pub(super) struct SseDecoder {
    line: Vec<u8>,
    /// The data of the event so far; `None` until its first data line.
    data: Option<String>,
    /// The last line ended in a carriage return, so a line feed that follows belongs to it.
    after_return: bool,
    /// A byte order mark may only stand before the first line.
    started: bool,
}

impl SseDecoder {
    /// Takes the next piece and appends the data of every event it completes to `events`.
    ///
    /// An event cut off by the end of the stream is never reported, as the standard says.
    pub(super) fn push(&mut self, mut piece: &[u8], events: &mut Vec<String>) -> Result<(), SseError> {
        while let Some((&first, rest)) = piece.split_first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                piece = rest;
                continue;
            }
            let end = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let taken = end.unwrap_or(piece.len());
            if self.line.len() + taken > LINE_BYTES_MAX {
                return Err(SseError::LineTooLong);
            }
            self.line.extend_from_slice(&piece[..taken]);
            let Some(end) = end else { break };
            self.after_return = piece[end] == b'\r';
            piece = &piece[end + 1..];
            let line = std::mem::take(&mut self.line);
            events.extend(self.end_line(&line)?);
        }
        Ok(())
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<String>, SseError> {
        let text = str::from_utf8(line).map_err(|_error| SseError::NotUtf8)?;
        let text = if std::mem::replace(&mut self.started, true) {
            text
        } else {
            text.strip_prefix('\u{feff}').unwrap_or(text)
        };
        if text.is_empty() {
            return Ok(self.data.take());
        }
        // A comment is a line whose field name is empty; other fields mean nothing to a completion.
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        if field != "data" {
            return Ok(None);
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        match &mut self.data {
            Some(data) if data.len() + value.len() >= EVENT_BYTES_MAX => return Err(SseError::EventTooLong),
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, SseError> {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece, &mut events)?;
        }
        Ok(events)
    }

    #[test]
    fn the_data_of_events_is_found_however_they_are_written() {
        let check = |stream: &str, expected: &[&str]| {
            assert_eq!(decode([stream.as_bytes()]).unwrap(), expected, "{stream:?}");
            let bytes = stream.as_bytes().chunks(1);
            assert_eq!(decode(bytes).unwrap(), expected, "{stream:?} byte by byte");
        };
        check("data: a\n\ndata: b\n\n", &["a", "b"]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
        check("data: a\r\rdata: b\r\r", &["a", "b"]);
        check("data:a\n\n", &["a"]);
        check("data:  a\n\n", &[" a"]);
        check("data: a\ndata: b\n\n", &["a\nb"]);
        check("data\n\n", &[""]);
        check(": keep-alive\n\ndata: a\n\n", &["a"]);
        check("event: x\nid: 1\nretry: 9\ndata: a\n\n", &["a"]);
        check("\u{feff}data: é😀\n\n", &["é😀"]);
        check("\n\n\r\n\r\n", &[]);
        check("data: cut off", &[]);
        check("data: cut off\n", &[]);
    }

    #[test]
    fn endless_and_undecodable_streams_are_refused() {
        let filler = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(decode([filler.as_slice()]), Err(SseError::LineTooLong));
        assert_eq!(decode(filler.chunks(1000)), Err(SseError::LineTooLong));
        let line = [b"data:".as_slice(), &vec![b'x'; 1024 * 1024], b"\n"].concat();
        assert_eq!(decode(std::iter::repeat_n(line.as_slice(), 5)), Err(SseError::EventTooLong));
        assert_eq!(decode([b"data: \xff\n\n".as_slice()]), Err(SseError::NotUtf8));
    }

    proptest! {
        #[test]
        fn where_the_network_cuts_does_not_matter(
            bytes in prop::collection::vec(prop::sample::select(b"data: \r\n:\xc3\xa9x".to_vec()), 0..80),
            cut in 0_usize..80,
        ) {
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(decode([head, tail]), decode([bytes.as_slice()]));
        }
    }
}
