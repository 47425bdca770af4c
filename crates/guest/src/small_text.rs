//! Short texts made of words and numbers, for stubs, which may not allocate.

use core::ffi::CStr;

/// Longer than any text a stub makes.
const BYTES: usize = 128;

/// A NUL-terminated text on the stack. What does not fit is cut, which the tests rule out for all texts made.
#[derive(Debug)]
pub(crate) struct SmallText {
    bytes: [u8; BYTES],
    length: usize,
}

impl SmallText {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; BYTES], length: 0 }
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.push(byte);
        }
        self
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        /// Of `u64::MAX`.
        const DIGITS_MAX: usize = 20;
        let (mut digits, mut rest, mut count) = ([0; DIGITS_MAX], number, 0);
        for digit in &mut digits {
            // A remainder of ten fits a byte.
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            count += 1;
            if rest == 0 {
                break;
            }
        }
        for digit in digits.iter().take(count).rev() {
            self.push(*digit);
        }
        self
    }

    fn push(&mut self, byte: u8) {
        // The last byte stays NUL.
        if self.length < BYTES - 1 {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
            }
            self.length += 1;
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_follow_each_other() {
        for (number, expected) in
            [(0, "x=0;"), (7, "x=7;"), (100, "x=100;"), (u64::MAX, "x=18446744073709551615;")]
        {
            let text = SmallText::new().text("x=").number(number).text(";");
            assert_eq!(text.as_bytes(), expected.as_bytes());
            assert_eq!(text.as_c_str().to_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_before_the_end() {
        let text = SmallText::new().text(&"x".repeat(500));
        assert_eq!(text.as_c_str().to_bytes().len(), BYTES - 1);
    }
}
