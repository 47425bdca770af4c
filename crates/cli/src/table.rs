//! Tables for people: a heading and aligned columns, without a frame.

use comfy_table::{Table, presets};

/// Spaces between columns.
const COLUMN_GAP: u16 = 2;

/// A table with these headings and rows, ending in a line break.
pub(crate) fn render<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, COLUMN_GAP));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_trailing_space() {
        let text = render(["name", "x"], [["a", ""], ["longer", "1"]].map(|row| row.map(str::to_owned)));
        assert_eq!(text, "name    x\na\nlonger  1\n");
    }
}
