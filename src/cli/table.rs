//! Tables: framed and fitted on a terminal, bare columns in a pipe.

use crate::store::sqlite::state::State;
use comfy_table::{ContentArrangement, Table, presets};
use std::io::{IsTerminal, Write};

/// Prints rows under a header.
pub(super) fn print(
    out: &mut impl Write,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> std::io::Result<()> {
    let mut table = Table::new();
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    match terminal_size::terminal_size_of(std::io::stdout()) {
        Some((width, _)) if std::io::stdout().is_terminal() => {
            table.load_style(presets::UTF8_FULL_CONDENSED);
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.0);
        }
        _ => {
            table.load_style(presets::NOTHING);
        }
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Prints what the tables say: rows and hash of each, then the one number.
pub(super) fn print_state(out: &mut impl Write, state: &State) -> std::io::Result<()> {
    let rows = state.tables.iter().map(|it| vec![it.table.to_owned(), it.rows.to_string(), it.hash.to_string()]);
    print(out, &["table", "rows", "state hash"], rows)?;
    writeln!(out)?;
    writeln!(out, "state hash {} at log position {}", state.total, state.seq)
}

/// One row, columns by tabs: for rows that come one by one.
pub(super) fn plain(row: &[String]) -> String {
    row.iter().map(|cell| printable(cell)).collect::<Vec<_>>().join("\t")
}

/// Every text of a delivery is hostile: no control character reaches the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}
