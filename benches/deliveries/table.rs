//! The figures of a run, and the table that they are printed as.

/// Figures by what they are of, in the order in which they came.
#[derive(Default)]
pub struct Figures {
    rows: Vec<Row>,
}

struct Row {
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
    /// Keeps a figure of one round.
    pub fn add(&mut self, what: impl Into<String>, of: Of, contender: &'static str, figure: f64) {
        let what = what.into();
        let place = self.rows.iter().position(|row| row.what == what).unwrap_or_else(|| {
            self.rows.push(Row { what, of, figures: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[place].figures.push((contender, figure));
    }

    /// Prints one column a contender, and what the first makes of each other one.
    pub fn print(&self, contenders: &[&'static str]) {
        let (first, others) = contenders.split_first().expect("chatfold is there");
        let mut head = vec!["what".to_owned()];
        head.extend(contenders.iter().map(|name| (*name).to_owned()));
        head.extend(others.iter().map(|name| format!("{first} / {name}")));
        println!("\n| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for row in &self.rows {
            let mut cells = vec![row.what.clone()];
            cells.extend(contenders.iter().map(|name| row.of(name).map_or("–".to_owned(), figure)));
            cells.extend(others.iter().map(|name| match (row.of(first), row.of(name)) {
                (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2} ×", ours / theirs),
                _ => "–".to_owned(),
            }));
            println!("| {} |", cells.join(" | "));
        }
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
