//! A flat Parquet table, written row by row.
//!
//! Uses the column writer directly: a table of scalars needs nothing of Arrow, which would more than double the
//! time this crate's dependencies take to compile.

use std::io::Write;
use std::mem;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

/// Rows buffered before a row group is written; some thousands are enough for compression to work well.
const GROUP_ROWS_MAX: usize = 4096;
/// Text buffered before a row group is written, since one turn may be megabytes.
const GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a column holds. Every column may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// UTF-8.
    Text,
    /// An unsigned integer of 64 bits.
    Integer,
    /// A double.
    Number,
}

/// One value, of the kind of its column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// For [`ColumnKind::Text`].
    Text(Option<String>),
    /// For [`ColumnKind::Integer`].
    Integer(Option<u64>),
    /// For [`ColumnKind::Number`].
    Number(Option<f64>),
}

impl Cell {
    /// A text that is there.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }

    /// A text that may be missing.
    pub(super) fn optional_text(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

/// Writes rows in groups.
pub(super) struct TableWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    rows: Vec<Vec<Cell>>,
    text_bytes: usize,
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins a file with these columns.
    pub(super) fn new(out: W, name: &str, columns: &[(&str, ColumnKind)]) -> Result<Self, ParquetError> {
        let fields: String = columns
            .iter()
            .map(|(column, kind)| match kind {
                ColumnKind::Text => format!("OPTIONAL BYTE_ARRAY {column} (UTF8);\n"),
                ColumnKind::Integer => format!("OPTIONAL INT64 {column} (UINT_64);\n"),
                ColumnKind::Number => format!("OPTIONAL DOUBLE {column};\n"),
            })
            .collect();
        let schema = Arc::new(parse_message_type(&format!("message {name} {{\n{fields}}}"))?);
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
        Ok(Self { file, rows: Vec::new(), text_bytes: 0 })
    }

    /// Adds a row: one cell for each column, in order.
    pub(super) fn push(&mut self, row: Vec<Cell>) -> Result<(), ParquetError> {
        self.text_bytes += row.iter().map(text_bytes).sum::<usize>();
        self.rows.push(row);
        if self.rows.len() >= GROUP_ROWS_MAX || self.text_bytes >= GROUP_BYTES_MAX {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what is buffered and the footer.
    pub(super) fn finish(mut self) -> Result<(), ParquetError> {
        self.write_group()?;
        // Taking the sink back flushes it; an error there must not be lost in a destructor.
        let mut out = self.file.into_inner()?;
        out.flush().map_err(|error| ParquetError::External(Box::new(error)))
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let rows = mem::take(&mut self.rows);
        self.text_bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        let mut columns: Vec<_> = rows.into_iter().map(IntoIterator::into_iter).collect();
        let mut group = self.file.next_row_group()?;
        while let Some(writer) = group.next_column()? {
            let cells = columns.iter_mut().map(|row| row.next().expect("a row has a cell for each column"));
            write_column(writer, cells)?;
        }
        group.close()?;
        Ok(())
    }
}

/// The values of one column, in the form of its physical type; a definition level of 0 marks a null.
#[derive(Default)]
struct ColumnValues {
    levels: Vec<i16>,
    texts: Vec<ByteArray>,
    integers: Vec<i64>,
    numbers: Vec<f64>,
}

fn write_column(
    mut writer: SerializedColumnWriter<'_>,
    cells: impl Iterator<Item = Cell>,
) -> Result<(), ParquetError> {
    let mut values = ColumnValues::default();
    let mut kind = ColumnKind::Text;
    for cell in cells {
        let present = match cell {
            Cell::Text(text) => {
                kind = ColumnKind::Text;
                text.map(|text| values.texts.push(text.into_bytes().into()))
            }
            Cell::Integer(integer) => {
                kind = ColumnKind::Integer;
                integer.map(|integer| values.integers.push(integer.cast_signed()))
            }
            Cell::Number(number) => {
                kind = ColumnKind::Number;
                number.map(|number| values.numbers.push(number))
            }
        };
        values.levels.push(present.is_some().into());
    }
    match kind {
        ColumnKind::Text => write_values::<ByteArrayType>(&mut writer, &values.texts, &values.levels)?,
        ColumnKind::Integer => write_values::<Int64Type>(&mut writer, &values.integers, &values.levels)?,
        ColumnKind::Number => write_values::<DoubleType>(&mut writer, &values.numbers, &values.levels)?,
    }
    writer.close()
}

fn write_values<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    values: &[T::T],
    levels: &[i16],
) -> Result<(), ParquetError> {
    writer.typed::<T>().write_batch(values, Some(levels), None).map(|_count| ())
}

fn text_bytes(cell: &Cell) -> usize {
    match cell {
        Cell::Text(text) => text.as_ref().map_or(0, String::len),
        Cell::Integer(_) | Cell::Number(_) => 0,
    }
}
