//! Lays out lists in columns: ten wide or more, three spaces between, the last as long as it is.

const WIDTH_MIN: usize = 10;
const GAP: usize = 3;

/// Lays out rows of cells, one line each. A row may end early.
pub(crate) fn layout(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let widths = widths(&rows);
    rows.iter().map(|row| line(row, &widths)).collect()
}

/// Control characters would break the lines, or drive the terminal: shown as spaces.
pub(crate) fn printable(cell: &str) -> String {
    cell.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let longest = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    (0..columns).map(|column| WIDTH_MIN.max(longest(column).unwrap_or(0) + GAP)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let last = row.len().saturating_sub(1);
    let cells = row.iter().zip(widths).enumerate();
    let padded = cells.map(
        |(column, (cell, width))| {
            if column == last { cell.clone() } else { format!("{cell:<width$}") }
        },
    );
    padded.collect::<String>() + "\n"
}

/// Cuts a text to so many characters; what is cut ends in an ellipsis.
pub(crate) fn ellipsis(text: &str, max: usize) -> String {
    if text.chars().count() > max {
        text.chars().take(max.saturating_sub(1)).chain(['\u{2026}']).collect()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[&[&str]]) -> Vec<Vec<String>> {
        cells.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_are_ten_wide_or_three_wider_than_their_longest_cell() {
        let laid = layout(&rows(&[&["ID", "NAME", "AGE"], &["0123456789", "a", "1 second ago"]]));
        assert_eq!(laid, "ID           NAME      AGE\n0123456789   a         1 second ago\n");
    }

    #[test]
    fn a_cell_cannot_break_its_line() {
        assert_eq!(layout(&rows(&[&["a\nb\u{1b}[31m"]])), "a b [31m\n");
    }

    #[test]
    fn an_empty_list_has_no_lines() {
        assert_eq!(layout(&[]), "");
    }

    #[test]
    fn a_long_text_ends_in_an_ellipsis() {
        for (text, max, expected) in
            [("abc", 3, "abc"), ("abcd", 3, "ab\u{2026}"), ("", 3, ""), ("abcd", 0, "\u{2026}")]
        {
            assert_eq!(ellipsis(text, max), expected, "{text:?} cut to {max}");
        }
    }
}
