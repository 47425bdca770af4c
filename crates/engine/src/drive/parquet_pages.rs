//! Pages of a Parquet file, looked at before they are decoded.
//!
//! The record interface takes for granted that a page coded by a dictionary follows one, and that no level is above its
//! column's highest; where a damaged file breaks that it panics, which ends the process. This stands between and
//! returns an error. Every other fault the decoder finds itself.

use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::RowGroupReader;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

/// A row group whose pages are checked as they are read.
pub(super) struct CheckedGroup<'a>(pub(super) Box<dyn RowGroupReader + 'a>);

/// The pages of one column of a group.
struct CheckedPages {
    inner: Box<dyn PageReader>,
    /// The highest repetition and definition level.
    levels_max: [i16; 2],
    has_dictionary: bool,
}

/// Whether every column of the file has a place: one at a negative offset is asked for all the same.
pub(super) fn check_places(metadata: &ParquetMetaData) -> Result<()> {
    for group in metadata.row_groups() {
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
            if start < 0 || column.compressed_size() < 0 {
                return Err(damaged("a column begins before the file, or has a negative length"));
            }
        }
    }
    Ok(())
}

impl RowGroupReader for CheckedGroup<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.0.metadata()
    }

    fn num_columns(&self) -> usize {
        self.0.num_columns()
    }

    fn get_column_page_reader(&self, column: usize) -> Result<Box<dyn PageReader>> {
        let descriptor = self.metadata().schema_descr().column(column);
        Ok(Box::new(CheckedPages {
            inner: self.0.get_column_page_reader(column)?,
            levels_max: [descriptor.max_rep_level(), descriptor.max_def_level()],
            has_dictionary: false,
        }))
    }

    fn get_column_bloom_filter(&self, column: usize) -> Option<&Sbbf> {
        self.0.get_column_bloom_filter(column)
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.inner.get_next_page()?;
        if let Some(page) = &page {
            self.check(page)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl CheckedPages {
    fn check(&mut self, page: &Page) -> Result<()> {
        let [repetition_max, definition_max] = self.levels_max;
        let (values, encoding) = match page {
            Page::DictionaryPage { .. } => {
                self.has_dictionary = true;
                return Ok(());
            }
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, .. } => {
                let mut rest = buf.as_ref();
                for (level_max, coding) in
                    [(repetition_max, rep_level_encoding), (definition_max, def_level_encoding)]
                {
                    if level_max == 0 {
                        continue;
                    }
                    if *coding != Encoding::RLE {
                        return Err(damaged("its levels are not run-length encoded"));
                    }
                    let (length, after) = rest.split_at_checked(4).ok_or_else(too_short)?;
                    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
                    let (levels, after) = after.split_at_checked(length).ok_or_else(too_short)?;
                    check_levels(levels, level_max, *num_values)?;
                    rest = after;
                }
                (num_values, encoding)
            }
            Page::DataPageV2 {
                buf, num_values, encoding, def_levels_byte_len, rep_levels_byte_len, ..
            } => {
                let buf = buf.as_ref();
                let (repetition, rest) =
                    buf.split_at_checked(*rep_levels_byte_len as usize).ok_or_else(too_short)?;
                let (definition, _) =
                    rest.split_at_checked(*def_levels_byte_len as usize).ok_or_else(too_short)?;
                check_levels(repetition, repetition_max, *num_values)?;
                check_levels(definition, definition_max, *num_values)?;
                (num_values, encoding)
            }
        };
        let needs_dictionary = matches!(encoding, Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY);
        if needs_dictionary && *values > 0 && !self.has_dictionary {
            return Err(damaged("a page is coded by a dictionary that the file does not have"));
        }
        Ok(())
    }
}

/// Whether none of `count` levels is above `level_max`. They are runs of one value and groups of eight packed ones, as in
/// <https://parquet.apache.org/docs/file-format/data-pages/encodings/>; the decoder finds it if they end too early.
fn check_levels(mut data: &[u8], level_max: i16, count: u32) -> Result<()> {
    let Some(level_max) = u64::try_from(level_max).ok().filter(|level_max| *level_max > 0) else {
        return Ok(());
    };
    let width = (u64::BITS - level_max.leading_zeros()) as usize;
    let mut left = u64::from(count);
    while left > 0 {
        let Some((header, after)) = read_varint(data) else { break };
        data = after;
        let length = header >> 1;
        let is_packed = header & 1 == 1;
        let (values, bytes) = if is_packed {
            let bytes = usize::try_from(length).unwrap_or(usize::MAX).saturating_mul(width);
            (length.saturating_mul(8), bytes)
        } else {
            (length, width.div_ceil(8))
        };
        let (run, after) = data.split_at(bytes.min(data.len()));
        data = after;
        let counted = values.min(left);
        let is_too_high = if is_packed {
            let held = counted.min((run.len() * 8 / width) as u64);
            (0..held)
                .any(|place| packed(run, usize::try_from(place).unwrap_or(usize::MAX), width) > level_max)
        } else {
            counted > 0 && run.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)) > level_max
        };
        if is_too_high {
            return Err(damaged("a level is above the highest of its column"));
        }
        left -= counted;
    }
    Ok(())
}

/// The value at `place`, least significant bit first.
fn packed(data: &[u8], place: usize, width: usize) -> u64 {
    let bit = |bit: usize| data.get(bit / 8).map_or(0, |byte| u64::from(byte >> (bit % 8) & 1));
    (0..width).map(|offset| bit(place * width + offset) << offset).sum()
}

fn read_varint(data: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    // A count of values has at most 32 bits, which are five groups of seven.
    for (place, byte) in data.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &data[place + 1..]));
        }
    }
    None
}

fn too_short() -> ParquetError {
    damaged("a page is shorter than its levels")
}

fn damaged(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_above_the_highest_are_found() {
        for (data, level_max, count, is_good) in [
            // A run of three values.
            (&[6, 2][..], 2, 3, true),
            (&[6, 3], 2, 3, false),
            (&[6, 255], 1, 3, false),
            // A run that nobody reads.
            (&[6, 3], 2, 0, true),
            // Eight packed values of two bits: 2, 1, 0, 2 and so on.
            (&[3, 0b1000_0110, 0b1000_0110], 2, 8, true),
            (&[3, 0b1000_0110, 0b1100_0110], 2, 8, false),
            (&[3, 0b1000_0110, 0b1100_0110], 2, 7, true),
            (&[3, 0b1000_0110, 0b1100_0110], 3, 8, true),
            // Cut off, and lengths without end.
            (&[], 2, 3, true),
            (&[255, 255, 255, 255, 255, 255, 255], 2, 3, true),
            (&[255, 255, 255, 255, 15, 0], 2, 3, true),
        ] {
            assert_eq!(check_levels(data, level_max, count).is_ok(), is_good, "{data:?} {level_max} {count}");
        }
    }
}
