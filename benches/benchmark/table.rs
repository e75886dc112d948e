//! The figures of a run: a line of JSON each, and a table for people a question.

use serde_json::{Value, json};
use std::io::Write;

/// Figures by what they are of, in the order in which they came.
#[derive(Default)]
pub struct Figures {
    rows: Vec<Row>,
    /// The question that is measured now.
    question: &'static str,
    /// Where the lines of JSON go.
    lines: Option<std::fs::File>,
}

struct Row {
    question: &'static str,
    what: String,
    of: Of,
    /// Of which contender each figure is.
    figures: Vec<(&'static str, f64)>,
}

/// What stands for the figures of several rounds.
#[derive(Clone, Copy)]
pub enum Of {
    Median,
    Greatest,
}

impl Figures {
    /// Lines of JSON go to that file too.
    pub fn into_file(file: Option<std::fs::File>) -> Self {
        Self { lines: file, ..Self::default() }
    }

    /// Which question the next figures belong to.
    pub fn question(&mut self, question: &'static str) {
        self.question = question;
    }

    /// Keeps a figure of one round.
    pub fn add(&mut self, what: impl Into<String>, of: Of, contender: &'static str, figure: f64) {
        let (question, what) = (self.question, what.into());
        self.line(&json!({"question": question, "what": what, "program": contender, "figure": figure}));
        let same = |row: &Row| row.question == question && row.what == what;
        let place = self.rows.iter().position(same).unwrap_or_else(|| {
            self.rows.push(Row { question, what, of, figures: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[place].figures.push((contender, figure));
    }

    /// Writes a line of JSON.
    pub fn line(&mut self, value: &Value) {
        if let Some(lines) = &mut self.lines {
            writeln!(lines, "{value}").unwrap();
        }
    }

    /// Prints a table a question: one column a contender that has figures, and what the first makes of each other one.
    pub fn print(&self, contenders: &[&'static str]) {
        let mut questions: Vec<&str> = self.rows.iter().map(|row| row.question).collect();
        questions.dedup();
        questions.iter().enumerate().filter(|(place, question)| !questions[..*place].contains(question)).for_each(
            |(_, question)| {
                let rows: Vec<&Row> = self.rows.iter().filter(|row| row.question == *question).collect();
                let has = |name: &&&str| rows.iter().any(|row| row.of(name).is_some());
                let names: Vec<&str> = contenders.iter().filter(has).copied().collect();
                println!("\n## {question}\n");
                table(&rows, &names);
            },
        );
    }
}

fn table(rows: &[&Row], contenders: &[&str]) {
    let (first, others) = contenders.split_first().expect("a row has a figure");
    let mut head = vec!["what".to_owned()];
    head.extend(contenders.iter().map(|name| (*name).to_owned()));
    head.extend(others.iter().map(|name| format!("{first} / {name}")));
    println!("| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let mut cells = vec![row.what.clone()];
        cells.extend(contenders.iter().map(|name| row.of(name).map_or("–".to_owned(), figure)));
        cells.extend(others.iter().map(|name| match (row.of(first), row.of(name)) {
            (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2} ×", ours / theirs),
            _ => "–".to_owned(),
        }));
        println!("| {} |", cells.join(" | "));
    }
}

impl Row {
    fn of(&self, contender: &str) -> Option<f64> {
        let mut figures: Vec<f64> =
            self.figures.iter().filter(|(name, _)| *name == contender).map(|(_, figure)| *figure).collect();
        figures.sort_by(f64::total_cmp);
        match self.of {
            Of::Median => figures.get(figures.len() / 2).copied(),
            Of::Greatest => figures.last().copied(),
        }
    }
}

/// Three figures that count, and thousands apart.
fn figure(figure: f64) -> String {
    let decimals = match figure {
        0.0 => 0,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{figure:.decimals$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let digits = whole.len();
    let apart: String = whole
        .char_indices()
        .flat_map(|(at, digit)| (at > 0 && (digits - at).is_multiple_of(3)).then_some(',').into_iter().chain([digit]))
        .collect();
    apart + &rest
}
