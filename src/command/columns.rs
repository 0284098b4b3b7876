//! Tables for people: columns that are aligned.

/// Rows of cells in columns. Those from column `right` on are numbers, aligned at their ends.
pub(super) fn aligned(rows: &[Vec<String>], right: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let len = |cell: &String| cell.chars().count();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - len(cell));
            let gap = if at == 0 { "" } else { "  " };
            let (before, after) = if at < right { ("", &*padding) } else { (&*padding, "") };
            line += &[gap, before, cell, after].concat();
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_and_words_begin_below_one_another() {
        let rows = [["lookup", "1", "12 µs"], ["open", "1,234", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows, 1), "lookup      1  12 µs\nopen    1,234\n");
        assert_eq!(aligned(&[], 0), "");
    }
}
