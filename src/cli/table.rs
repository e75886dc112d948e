//! Tables: framed and fitted on a terminal, bare columns in a pipe.

use crate::store::sqlite::state::State;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use std::io::{IsTerminal, Write};

/// Columns whose cells are never broken into lines: numbers and times.
const WHOLE: [&str; 4] = ["seq", "id", "happened", "received"];

/// Prints rows under a header.
pub(super) fn print(
    out: &mut impl Write,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> std::io::Result<()> {
    for line in framed(header, rows).lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Prints rows under a header, each in its colour where there are colours. The first cell of each row is a number.
pub(super) fn print_coloured(
    out: &mut impl Write,
    header: &[&str],
    rows: Vec<(Vec<String>, Colour)>,
) -> std::io::Result<()> {
    let (rows, colours): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let mut colours = colours.into_iter();
    let mut colour = Colour::Plain;
    for line in framed(header, rows).lines() {
        let cells = line.trim_start_matches(['│', ' ']);
        let indent = line.len() - cells.len();
        if indent == 0 {
            colour = Colour::Plain;
        } else if indent <= "│ ".len() && cells.starts_with(|it: char| it.is_ascii_digit()) {
            colour = colours.next().unwrap_or(Colour::Plain);
        }
        writeln!(out, "{}", coloured(line.trim_end(), colour))?;
    }
    Ok(())
}

/// The colour of a line on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Faint,
    Yellow,
    Red,
}

/// The line in its colour: on a terminal, unless the variable NO_COLOR asks for none (no-color.org).
pub(super) fn coloured(line: &str, colour: Colour) -> String {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()) && std::io::stdout().is_terminal();
    let code = match colour {
        Colour::Plain => return line.to_owned(),
        Colour::Faint => 2,
        Colour::Yellow => 33,
        Colour::Red => 31,
    };
    if wanted { format!("\u{1b}[{code}m{line}\u{1b}[0m") } else { line.to_owned() }
}

fn framed(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    match width() {
        Some(width) => {
            table.load_style(presets::UTF8_FULL_CONDENSED);
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            for (column, _) in table.column_iter_mut().zip(header).filter(|(_, header)| WHOLE.contains(header)) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        None => {
            table.load_style(presets::NOTHING);
        }
    }
    table
}

/// Columns of the terminal; `None` in a pipe.
pub(super) fn width() -> Option<u16> {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.filter(|_| std::io::stdout().is_terminal()).map(|(width, _)| width.0)
}

/// Prints what the tables say: rows and hash of each, then the one number.
pub(super) fn print_state(out: &mut impl Write, state: &State) -> std::io::Result<()> {
    let rows = state.tables.iter().map(|it| vec![it.table.to_owned(), it.rows.to_string(), it.hash.to_string()]);
    print(out, &["table", "rows", "state hash"], rows)?;
    writeln!(out)?;
    writeln!(out, "state hash {} at log position {}", state.total, state.seq)
}

/// Every text of a delivery is hostile: no control character reaches the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}
