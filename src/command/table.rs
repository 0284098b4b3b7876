//! Rows of cells, for people: each column is as wide as its widest cell.

use anstyle::{AnsiColor, Style};

/// What a list is of.
pub(super) const TITLE: Style = Style::new().bold();

/// What says what stands beside or below it.
pub(super) const LABEL: Style = Style::new().dimmed();

/// Why there is nothing else to say.
pub(super) const REASON: Style = AnsiColor::Yellow.on_default();

/// The name of a directory.
pub(super) const DIRECTORY: Style = AnsiColor::Blue.on_default().bold();

/// Blanks between columns.
const GAP: &str = "  ";

/// A cell of a row.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
    is_number: bool,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), style: Style::new(), is_number: false }
    }

    /// One that is written at the right of its column.
    pub(super) fn number(text: impl Into<String>) -> Cell {
        Cell { is_number: true, ..Cell::new(text) }
    }

    pub(super) fn styled(self, style: Style) -> Cell {
        Cell { style, ..self }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// Lines of text. The last cell of a row may run on over the columns after its own, unless it is a number.
pub(super) fn aligned(rows: &[Vec<Cell>]) -> String {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(row.len().max(widths.len()), 0);
        for (at, (cell, width)) in row.iter().zip(&mut widths).enumerate() {
            if cell.is_number || at + 1 < row.len() {
                *width = cell.width().max(*width);
            }
        }
    }
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    let mut blanks = 0;
    for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
        let rest = width.saturating_sub(cell.width());
        let (before, after) = if cell.is_number { (rest, 0) } else { (0, rest) };
        blanks += before;
        // None at the end of a line.
        if !cell.text.is_empty() {
            line.extend(std::iter::repeat_n(' ', blanks));
            blanks = 0;
            let Cell { text, style, .. } = cell;
            line.push_str(&format!("{style}{text}{style:#}"));
        }
        blanks += after + if at + 1 < row.len() { GAP.len() } else { 0 };
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_a_last_cell_runs_on() {
        let rows = [
            vec![Cell::new("name"), Cell::new("shape"), Cell::number("size")],
            vec![Cell::new("a"), Cell::new(""), Cell::number("12 KiB")],
            vec![Cell::new("größe"), Cell::new("it cannot be read, for a very long reason")],
            vec![Cell::new("b"), Cell::new("")],
        ];
        let expected = "name   shape    size\n\
                        a             12 KiB\n\
                        größe  it cannot be read, for a very long reason\n\
                        b\n";
        assert_eq!(aligned(&rows), expected);
        let styled = [vec![Cell::new("x").styled(TITLE), Cell::new("y")]];
        assert_eq!(aligned(&styled), "\x1b[1mx\x1b[0m  y\n");
        assert_eq!(aligned(&[]), "");
    }
}
