//! Rows of a Parquet file, one at a time, as JSON values.
//!
//! Owns which columns are read and what each type becomes. Reads the record interface, page by page, so that a file
//! larger than memory is read like any other. Columns nobody asked for are not decoded.

use std::fs::File;
use std::ops::ControlFlow;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, RowGroupReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use rollcage_api::BytesRow;
use serde_json::{Map, Number, Value};

use super::parquet_pages::{CheckedGroup, check_places};

/// The bytes a Parquet file begins with.
pub(super) const MAGIC: &[u8; 4] = b"PAR1";

/// Groups in groups; what is deeper is no data set, and would exhaust a stack.
const DEPTH_MAX: usize = 64;

/// Why a Parquet file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ParquetRowsError {
    /// It is damaged, cut off, encrypted, or compressed in a way that is not supported.
    #[error("{}", match row { 0 => "the file is not whole or not supported".to_owned(), row => format!("row {row} cannot be read") })]
    Damaged {
        /// The row, counted from 1; 0 before the first.
        row: usize,
        /// Why not.
        #[source]
        source: ParquetError,
    },
    /// A column that is needed holds something that has no JSON form here.
    #[error("column `{column}` holds {holds}, which is not read")]
    Unsupported {
        /// The top-level column.
        column: String,
        /// Its type.
        holds: String,
    },
}

/// An open file.
pub(super) struct ParquetRows {
    reader: SerializedFileReader<File>,
}

impl ParquetRows {
    /// Opens a file, and reads its footer.
    pub(super) fn open(file: File) -> Result<Self, ParquetRowsError> {
        let damaged = |source| ParquetRowsError::Damaged { row: 0, source };
        let reader = SerializedFileReader::new(file).map_err(damaged)?;
        check_places(reader.metadata()).map_err(damaged)?;
        Ok(Self { reader })
    }

    /// The names of the top-level columns.
    pub(super) fn columns(&self) -> Vec<&str> {
        self.schema().get_fields().iter().map(|field| field.name()).collect()
    }

    /// Gives every row to `take`, until that says to stop or fails. Only the columns in `wanted` are decoded; without
    /// that, all that can be.
    pub(super) fn for_each<E: From<ParquetRowsError>>(
        &self,
        wanted: Option<&[&str]>,
        mut take: impl FnMut(usize, Map<String, Value>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let projection = self.projection(wanted)?;
        let mut number = 0;
        for group in 0..self.reader.num_row_groups() {
            let damaged = |row: usize| move |source| ParquetRowsError::Damaged { row, source };
            let reader = CheckedGroup(self.reader.get_row_group(group).map_err(damaged(number + 1))?);
            let rows = reader.get_row_iter(Some(projection.clone())).map_err(damaged(number + 1))?;
            for row in rows {
                number += 1;
                let row = row.map_err(damaged(number))?;
                if take(number, object(&row))?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn schema(&self) -> &Type {
        self.reader.metadata().file_metadata().schema()
    }

    fn projection(&self, wanted: Option<&[&str]>) -> Result<Type, ParquetRowsError> {
        let mut fields = Vec::new();
        for field in self.schema().get_fields() {
            let is_wanted = wanted.is_none_or(|wanted| wanted.contains(&field.name()));
            match unsupported(field, DEPTH_MAX) {
                None if is_wanted => fields.push(Arc::clone(field)),
                // Most likely a column that the format does not know of, such as a time.
                Some(holds) if is_wanted && wanted.is_some() => {
                    return Err(ParquetRowsError::Unsupported { column: field.name().to_owned(), holds });
                }
                None | Some(_) => {}
            }
        }
        Type::group_type_builder(self.schema().name())
            .with_fields(fields)
            .build()
            .map_err(|source| ParquetRowsError::Damaged { row: 0, source })
    }
}

/// What in this column the record interface cannot assemble: it panics on such types instead of returning an error, so
/// they must not reach it.
fn unsupported(field: &Type, depth_left: usize) -> Option<String> {
    if depth_left == 0 {
        return Some("groups in groups without end".to_owned());
    }
    let info = field.get_basic_info();
    if !info.has_repetition() {
        return Some("a group without a repetition".to_owned());
    }
    let converted = info.converted_type();
    if field.is_primitive() {
        let is_supported = match field.get_physical_type() {
            Physical::BOOLEAN | Physical::FLOAT | Physical::DOUBLE => true,
            Physical::INT32 | Physical::INT64 => converted != ConvertedType::DECIMAL,
            Physical::BYTE_ARRAY => matches!(
                converted,
                ConvertedType::NONE
                    | ConvertedType::UTF8
                    | ConvertedType::ENUM
                    | ConvertedType::JSON
                    | ConvertedType::BSON
            ),
            Physical::FIXED_LEN_BYTE_ARRAY => converted == ConvertedType::NONE,
            Physical::INT96 => false,
        };
        return (!is_supported).then(|| match info.logical_type_ref() {
            Some(LogicalType::Decimal { .. }) => "decimals".to_owned(),
            Some(_) | None => format!("{} {converted}", field.get_physical_type()).to_lowercase(),
        });
    }
    let inner = field.get_fields();
    let is_repeated = |field: &Type| {
        field.get_basic_info().has_repetition() && field.get_basic_info().repetition() == Repetition::REPEATED
    };
    let is_well_formed = match (converted, inner) {
        (ConvertedType::LIST, [elements]) => {
            is_repeated(elements) && (elements.is_primitive() || !elements.get_fields().is_empty())
        }
        (ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE, [entries]) => {
            is_repeated(entries) && !entries.is_primitive() && matches!(entries.get_fields().len(), 1 | 2)
        }
        (ConvertedType::LIST | ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE, _) => false,
        (_, inner) => !inner.is_empty(),
    };
    if !is_well_formed {
        return Some("a list, map or group that is not well formed".to_owned());
    }
    inner.iter().find_map(|field| unsupported(field, depth_left - 1))
}

fn object(row: &Row) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => Value::from(*value),
        Field::Long(value)
        | Field::TimeMicros(value)
        | Field::TimestampMillis(value)
        | Field::TimestampMicros(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float16(value) => number(f64::from(value.to_f32())),
        Field::Float(value) => number(f64::from(*value)),
        Field::Double(value) => number(*value),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => bytes_value(bytes.data()),
        // Refused with its column before any row is read.
        Field::Decimal(_) => Value::Null,
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            Value::Object(map.entries().iter().map(|(key, inner)| (key_text(key), value(inner))).collect())
        }
    }
}

/// A data frame keeps a missing number as not-a-number.
fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Text as what it is, and other bytes as native rows write them.
fn bytes_value(bytes: &[u8]) -> Value {
    serde_json::to_value(BytesRow(bytes.into())).expect("bytes are text or an object of one text")
}

fn key_text(key: &Field) -> String {
    let key = value(key);
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}
