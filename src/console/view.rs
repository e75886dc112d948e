//! Pieces of pages. Everything that a delivery said is hostile: it is escaped, isolated from the direction of the text
//! around it, and cut, with a way to see the rest.

use askama::filters::HtmlSafe;
use similar::{ChangeTag, TextDiff};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Characters of a text that a page shows before it is cut.
const SHOWN: usize = 400;
/// Characters of a name.
const NAME: usize = 60;

/// Characters of a text that is compared with the one before; longer ones are shown as they are.
const DIFFED: usize = 4_000;
/// For one comparison; what is not found by then is shown as replaced.
const DIFF_TIME: Duration = Duration::from_millis(20);

/// HTML made here, of escaped parts.
pub struct Html(pub(super) String);

impl Display for Html {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

/// For element content and quoted attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + text.len() / 8);
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(char),
            // Control characters are shown, not obeyed.
            char if char.is_control() => {
                safe.push(char::from_u32(0x2400 + char as u32 % 0x80).unwrap_or('\u{fffd}'));
            }
            _ => safe.push(char),
        }
    }
    safe
}

/// An address of this server.
pub fn href<'a>(path: &str, params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(params);
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// The address of a page about something of an app.
pub fn of_app(app: &str, path: &str, about: &[(&str, &str)]) -> String {
    href(path, [("appId", app)].into_iter().chain(about.iter().copied()))
}

/// The first characters, and whether there are more.
fn cut(text: &str, most: usize) -> (&str, bool) {
    match text.char_indices().nth(most) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    }
}

/// A text of a delivery, whole where it is short; else its beginning, and the rest to be opened.
pub fn text(text: &str) -> Html {
    let (start, more) = cut(text, SHOWN);
    if !more {
        return Html(format!("<bdi class=\"said\">{}</bdi>", escape(start)));
    }
    let length = number(text.chars().count());
    Html(format!(
        "<details class=\"long\"><summary><bdi class=\"said\">{}…</bdi> <span class=\"more\">all {length} characters</span></summary><bdi class=\"said\">{}</bdi></details>",
        escape(start),
        escape(text)
    ))
}

/// A name or id, on one line; cut, with the whole in its title.
pub fn name(text: &str) -> Html {
    let (start, more) = cut(text, NAME);
    let (whole, _) = cut(text, 1_000);
    match more {
        true => Html(format!("<bdi class=\"name\" title=\"{}\">{}…</bdi>", escape(whole), escape(start))),
        false => Html(format!("<bdi class=\"name\">{}</bdi>", escape(start))),
    }
}

/// A sentence of ours. What stands between backticks is code.
pub fn marked(text: &str) -> Html {
    let part = |(at, part)| match at % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    Html(text.split('`').enumerate().map(part).collect())
}

/// A name, else the id it goes by.
pub fn called(named: Option<&str>, id: &str) -> Html {
    name(named.filter(|it| !it.trim().is_empty()).unwrap_or(id))
}

/// A link to a page about something, by its name.
pub fn link(href: &str, named: Option<&str>, id: &str) -> Html {
    Html(format!("<a href=\"{}\">{}</a>", escape(href), called(named, id)))
}

/// How a time is known: nothing where the payload tells it.
pub fn source(from: &str) -> Html {
    let (word, title) = match from {
        "TOLD" => return Html(String::new()),
        "ARRIVAL" => ("time of arrival", "The delivery has no time. This is when it arrived"),
        _ => ("estimated", "The delivery has no time. This is the time of the old deliveries that came with it"),
    };
    Html(format!("<span class=\"mark\" title=\"{title}\">{word}</span>"))
}

/// A link to elsewhere, `http` and `https` only: anything else is shown as text.
pub fn elsewhere(url: &str) -> Html {
    let lower = url.trim_start().to_ascii_lowercase();
    let shown = name(url);
    if lower.starts_with("https://") || lower.starts_with("http://") {
        let url = escape(url.trim());
        return Html(format!("<a href=\"{url}\" rel=\"noopener noreferrer\" target=\"_blank\">{shown}</a>"));
    }
    shown
}

/// A file elsewhere, by its name; its address is shown where it is not linked.
pub fn file(url: &str, named: Option<&str>) -> Html {
    let link = elsewhere(url).0;
    match named.filter(|name| !name.trim().is_empty() && link.starts_with("<a ")) {
        Some(named) => Html(link.split_inclusive('>').next().unwrap_or_default().to_owned() + &name(named).0 + "</a>"),
        None => Html(link),
    }
}

/// An id that script offers to copy.
pub fn id(text: &str) -> Html {
    let button = format!("<button type=\"button\" class=\"clip\" data-clip=\"{}\" hidden>Copy</button>", escape(text));
    Html(format!("{} {button}", name(text)))
}

/// What a text became: words taken out and put in. Without a text before, the new one.
pub fn diff(before: Option<&str>, after: &str) -> Html {
    let Some(before) = before else { return text(after) };
    let whole = |text: &str| text.chars().count() > DIFFED;
    if whole(before) || whole(after) {
        return text(after);
    }
    let diff = TextDiff::configure().timeout(DIFF_TIME).diff_words(before, after);
    // What went stands before what came, and a space between them: `sixseven` would be no word. A space alone between
    // two replaced words is replaced with them.
    let (mut html, mut gone, mut new) = (String::from("<bdi class=\"said\">"), String::new(), String::new());
    let changes: Vec<_> = diff.iter_all_changes().collect();
    for (at, change) in changes.iter().enumerate() {
        let follows = changes.get(at + 1).is_some_and(|next| next.tag() != ChangeTag::Equal);
        match change.tag() {
            ChangeTag::Delete => gone += change.value(),
            ChangeTag::Insert => new += change.value(),
            ChangeTag::Equal if follows && !gone.is_empty() && !new.is_empty() && change.value().trim().is_empty() => {
                gone += change.value();
                new += change.value();
            }
            ChangeTag::Equal => {
                replaced(&mut gone, &mut new, &mut html);
                html += &escape(change.value());
            }
        }
    }
    replaced(&mut gone, &mut new, &mut html);
    Html(html + "</bdi>")
}

/// Writes what went and what came.
fn replaced(gone: &mut String, new: &mut String, html: &mut String) {
    let marked = |tag: &str, text: &str| {
        if text.is_empty() { String::new() } else { format!("<{tag}>{}</{tag}>", escape(text)) }
    };
    *html += &marked("del", gone);
    *html += if gone.is_empty() || new.is_empty() { "" } else { " " };
    *html += &marked("ins", new);
    gone.clear();
    new.clear();
}

/// A text that begins with a capital letter.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

/// A word of an enumeration, with its own colour.
pub fn badge(word: &str) -> Html {
    let shown = word.to_lowercase().replace('_', " ");
    let class: String = shown.chars().filter(char::is_ascii_alphanumeric).collect();
    Html(format!("<span class=\"badge is-{class}\">{}</span>", escape(&shown)))
}

/// `1234567` as `1,234,567`.
pub fn number(count: impl Display) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digits.as_bytes()[at - 1].is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1536` as `1.5 KB`.
pub fn bytes(count: &str) -> String {
    let Ok(count) = count.parse::<f64>() else { return count.to_owned() };
    let units = ["bytes", "KB", "MB", "GB", "TB"];
    let at = (0..units.len() - 1).find(|at| count < 1024f64.powi(*at as i32 + 1)).unwrap_or(units.len() - 1);
    if at == 0 { format!("{count} bytes") } else { format!("{:.1} {}", count / 1024f64.powi(at as i32), units[at]) }
}

/// `75` seconds as `1 min 15 s`.
pub fn seconds(count: i64) -> String {
    match (count / 3600, count / 60 % 60, count % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_cannot_leave_its_place() {
        let hostile = "<script>alert(1)</script>\"'&\u{202e}\u{7}";
        for html in
            [text(hostile), name(hostile), elsewhere(hostile), badge(hostile), link(hostile, Some(hostile), "x")]
        {
            assert!(!html.0.contains("<script") && !html.0.contains('\u{7}'), "{html}");
            assert!(!html.0.contains("\"'"), "{html}");
        }
        assert!(text(hostile).0.starts_with("<bdi") && text(hostile).0.ends_with("</bdi>"));
    }

    #[test]
    fn only_the_web_is_linked() {
        for url in ["javascript:alert(1)", "data:text/html,x", " JaVaScRiPt:x", "//x", "file:///etc/passwd"] {
            assert!(!elsewhere(url).0.contains("href"), "{url}");
        }
        assert!(elsewhere("HTTPS://example.com/a").0.contains("rel=\"noopener noreferrer\""));
    }

    #[test]
    fn what_is_long_can_be_opened() {
        let long = "é".repeat(10_000);
        assert!(text(&long).0.contains("all 10,000 characters"));
        assert!(name(&long).0.len() < 4_000);
    }

    #[test]
    fn an_edit_shows_what_went_and_what_came() {
        assert_eq!(
            diff(Some("see you at <six>"), "see you at seven").0,
            "<bdi class=\"said\">see you at <del>&lt;six&gt;</del> <ins>seven</ins></bdi>"
        );
        assert_eq!(diff(Some("a b c"), "x y c").0, "<bdi class=\"said\"><del>a b</del> <ins>x y</ins> c</bdi>");
        assert_eq!(diff(None, "x").0, text("x").0);
    }

    #[test]
    fn figures_read_well() {
        assert_eq!([number(0), number(999), number(1_000), number(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([bytes("12"), bytes("1536"), bytes("3221225472")], ["12 bytes", "1.5 KB", "3.0 GB"]);
        assert_eq!([seconds(5), seconds(75), seconds(7_260)], ["5 s", "1 min 15 s", "2 h 1 min"]);
    }
}
