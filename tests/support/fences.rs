//! Fenced blocks of a page of the documentation.

/// A fenced block. The indentation of a fence in a list is no part of its block.
#[derive(Debug)]
pub struct Fence {
    pub language: String,
    pub text: String,
    /// Line of the page on which it begins.
    pub line: usize,
    /// Whether nothing but white space lies between it and the block before it.
    pub follows: bool,
}

/// The blocks of a page, in their order.
pub fn fences(page: &str) -> Vec<Fence> {
    let mut all = Vec::new();
    let mut follows = false;
    walk(page, |line, open, number| match open {
        Open::Begins(language) => {
            all.push(Fence { language: language.to_owned(), text: String::new(), line: number, follows });
            follows = true;
        }
        Open::Within(indent) => {
            let fence: &mut Fence = all.last_mut().unwrap();
            fence.text += line.get(indent..).unwrap_or_default();
            fence.text.push('\n');
        }
        Open::Outside => follows &= line.trim().is_empty(),
    });
    all
}

/// The page without its blocks.
pub fn prose(page: &str) -> String {
    let mut text = String::new();
    walk(page, |line, open, _| {
        if matches!(open, Open::Outside) {
            text += line;
            text.push('\n');
        }
    });
    text
}

enum Open<'a> {
    Outside,
    /// With the language.
    Begins(&'a str),
    /// With the indentation of the block.
    Within(usize),
}

/// Tells of each line, but for those that end a block, where it stands.
fn walk(page: &str, mut tell: impl FnMut(&str, Open<'_>, usize)) {
    let mut open: Option<usize> = None;
    for (number, line) in (1..).zip(page.lines()) {
        let fence = line.trim_start().strip_prefix("```");
        match (open, fence) {
            (None, Some(language)) => {
                open = Some(line.len() - line.trim_start().len());
                tell(line, Open::Begins(language), number);
            }
            (Some(_), Some(_)) => open = None,
            (Some(indent), None) => tell(line, Open::Within(indent), number),
            (None, None) => tell(line, Open::Outside, number),
        }
    }
}
