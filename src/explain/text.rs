//! The answer for people: short sentences, one paragraph for each delivery. A text of a delivery may come from an
//! attacker, so no control character reaches the terminal.

use super::{Delivery, Effect, Explanation};
use serde_json::{Map, Value};
use std::io::{self, Write};

/// Longer values are cut.
const LONGEST: usize = 80;

/// Writes the answer.
pub fn write(it: &Explanation, out: &mut impl Write) -> io::Result<()> {
    line(out, &format!("{} of app {}, as of log position {}", it.entity, it.app_id, it.seq))?;
    for delivery in &it.deliveries {
        writeln!(out)?;
        write_delivery(delivery, out)?;
    }
    writeln!(out)?;
    match &it.row {
        Some(row) => {
            line(out, "Now the tables say:")?;
            write_row(row, out)?;
        }
        None if it.tables.values().all(|rows| rows.as_array().is_none_or(Vec::is_empty)) => {
            line(out, "The tables hold no row for it.")?;
        }
        None => line(out, "Now the tables say:")?,
    }
    for (table, rows) in &it.tables {
        for row in rows.as_array().into_iter().flatten().filter_map(Value::as_object) {
            line(out, &format!("  {table}: {}", cells(row, it.row.as_ref()).join(", ")))?;
        }
    }
    writeln!(out)?;
    for note in &it.notes {
        line(out, note)?;
    }
    if it.deliveries.iter().flat_map(|delivery| &delivery.effects).any(|effect| effect.value.get("turn").is_some()) {
        line(
            out,
            "Steps are numbered in the order in which the facts count. The order follows their times, not their arrival.",
        )?;
    }
    line(out, &left_out(it))?;
    line(out, "docs/how-it-works.md explains the rules and the section numbers in brackets.")
}

fn left_out(it: &Explanation) -> String {
    match it.copies_left_out {
        None => "This list has the deliveries that are about the entity or decide a value. Words such as \"before\" and \"known\" count only these. Other deliveries may carry a copy of the entity that decided nothing: --all reads the whole log and lists them too.".into(),
        Some(0) => "The whole log of the app was read.".into(),
        Some(n) => format!("The whole log of the app was read: {n} more deliveries carry a copy that decides nothing. --all lists them too."),
    }
}

fn write_delivery(delivery: &Delivery, out: &mut impl Write) -> io::Result<()> {
    let arrived = match delivery.occurred_from.as_str() {
        "arrival" => format!("has no time: dated by its arrival, {}", delivery.occurred_at),
        "feed" => format!("has no time: dated {} by the deliveries around it", delivery.occurred_at),
        _ => format!("{} (told), {}", delivery.occurred_at, late(delivery.late_ms)),
    };
    let times = match delivery.deliveries {
        1 => String::new(),
        n => format!("; delivered {n} times, last {}", delivery.last_received_at),
    };
    line(out, &format!("#{} {} {arrived}{times}", delivery.seq, delivery.trigger))?;
    if let Some(reason) = &delivery.reason {
        let changed = if delivery.outcome == "applied" { "not understood" } else { &delivery.outcome };
        let nothing = if delivery.outcome == "applied" { "" } else { "; changed nothing" };
        line(out, &format!("    {changed}: {reason}{nothing}"))?;
    }
    if delivery.effects.is_empty() && delivery.outcome == "applied" {
        line(out, "    names the entity, and tells no value")?;
    }
    for group in groups(&delivery.effects) {
        write_effects(&group, out)?;
    }
    if !delivery.silent.is_empty() {
        line(out, &format!("    does not mention {}: known values stay", delivery.silent.join(", ")))?;
    }
    Ok(())
}

/// Effects of one verdict and rule together: what changed something first, then what lost, then what said the same.
pub fn groups(effects: &[Effect]) -> Vec<Vec<&Effect>> {
    let mut groups: Vec<Vec<&Effect>> = Vec::new();
    for effect in effects.iter().filter(|it| !is_implied(it)) {
        let alike = |group: &&mut Vec<&Effect>| {
            let first = group[0];
            let same_rule = (&first.rule, first.replaced_by) == (&effect.rule, effect.replaced_by);
            (first.won, first.same) == (effect.won, effect.same) && (same_rule || (effect.same && !effect.won))
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(effect),
            None => groups.push(vec![effect]),
        }
    }
    let content = |effect: &&Effect| matches!(effect.register.as_str(), "deleted" | "data.text");
    groups.sort_by_key(|group| (group[0].same, !group[0].won, !group.iter().any(content)));
    groups
}

/// A text brings its mentions, none if it lists none: only people who were mentioned before would miss them.
fn is_implied(effect: &Effect) -> bool {
    effect.register == "data.mentions" && effect.value.is_null()
}

fn write_effects(group: &[&Effect], out: &mut impl Write) -> io::Result<()> {
    let first = group[0];
    let names: Vec<&str> = group.iter().map(|effect| effect.register.as_str()).collect();
    let said: Vec<String> = group.iter().map(|effect| said_by(effect)).collect();
    let since = first.replaced_by.map(|seq| format!("; stood until #{seq}")).unwrap_or_default();
    let text = match (first.value.get("ledTo").and_then(Value::as_str), first.won, first.same) {
        (Some(after), won, _) => {
            let still = if won { "" } else { "still " };
            let (step, result) = match first.value.get("turn") {
                Some(turn) => (format!("step {turn}: "), "Result: "),
                None => (String::new(), "Belongs to "),
            };
            format!("{step}{}. {result}{still}{after}. Reason: {}", said.join(", "), first.rule)
        }
        (None, false, true) => format!("same {}: known already", names.join(", ")),
        (None, true, true) => format!("same {}: {}{since}", names.join(", "), first.rule),
        (None, true, false) => format!("won  {}: {}{since}", said.join(", "), first.rule),
        (None, false, false) => format!("lost {}: {}", said.join(", "), first.rule),
    };
    line(out, &format!("    {text}"))
}

fn said_by(effect: &Effect) -> String {
    match effect.value.get("told").and_then(Value::as_str).filter(|_| effect.value.get("ledTo").is_some()) {
        Some(told) => cut(told),
        None => cell(&effect.register, &effect.value),
    }
}

fn write_row(row: &Map<String, Value>, out: &mut impl Write) -> io::Result<()> {
    let known = row.iter().filter(|(_, value)| !value.is_null());
    for (column, value) in known {
        line(out, &format!("  {}", cell(column, value)))?;
    }
    let unknown: Vec<&str> =
        row.iter().filter(|(_, value)| value.is_null()).map(|(column, _)| column.as_str()).collect();
    if unknown.is_empty() { Ok(()) } else { line(out, &format!("  null: {}", unknown.join(", "))) }
}

/// The cells of a row that hangs on another, but for the ids it shares with it.
fn cells(row: &Map<String, Value>, of: Option<&Map<String, Value>>) -> Vec<String> {
    let shared = |column: &str, value: &Value| {
        matches!(column, "guid" | "uid" | "message_id") && of.and_then(|of| of.get(column)) == Some(value)
    };
    let shown = row.iter().filter(|(column, value)| !value.is_null() && !shared(column, value));
    shown.map(|(column, value)| cell(column, value)).collect()
}

fn cell(column: &str, value: &Value) -> String {
    match value {
        // A time is no quotation.
        Value::String(text) if column.ends_with("_at") || column.ends_with("since") || column == "at" => {
            format!("{column} {}", cut(text))
        }
        _ => format!("{column} {}", cut(&value.to_string())),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// How long after its time a delivery arrived.
pub fn late(ms: i64) -> String {
    let (amount, side) = (ms.unsigned_abs(), if ms < 0 { "before that time" } else { "later" });
    match amount {
        0..1_000 => "arrived at once".into(),
        1_000..120_000 => format!("arrived {} s {side}", amount / 1_000),
        120_000..7_200_000 => format!("arrived {} min {side}", amount / 60_000),
        7_200_000..172_800_000 => format!("arrived {} h {side}", amount / 3_600_000),
        _ => format!("arrived {} days {side}", amount / 86_400_000),
    }
}

fn line(out: &mut impl Write, text: &str) -> io::Result<()> {
    let printable: String = text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect();
    writeln!(out, "{}", printable.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_reads_like_speech() {
        let told = [400, 32_000, -5_000, 600_000, 10_800_000, 864_000_000].map(late);
        assert_eq!(told[0], "arrived at once");
        assert_eq!(told[1], "arrived 32 s later");
        assert_eq!(told[2], "arrived 5 s before that time");
        assert_eq!(told[3..], ["arrived 10 min later", "arrived 3 h later", "arrived 10 days later"]);
    }

    #[test]
    fn no_control_character_is_written_and_long_values_are_cut() {
        let mut out = Vec::new();
        line(&mut out, "a\u{1b}[31m\nb").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\u{fffd}[31m\u{fffd}b\n");
        assert_eq!(cut(&"x".repeat(100)).chars().count(), LONGEST + 1);
    }
}
