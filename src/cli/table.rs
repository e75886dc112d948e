//! Tables: framed and fitted on a terminal, bare columns in a pipe.

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

/// Every text of a delivery is hostile: no control character reaches the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}
