//! What people wrote, for a page: mentions by name, and addresses of the web as links.

use super::answer::Person;
use super::frame::Frame;
use super::view::{self, Html};

/// Characters of a text that a page shows before it is cut.
const SHOWN: usize = 600;
/// Longest mention that is looked for, in bytes.
const MENTION: usize = 400;

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Plain(&'a str),
    /// A person, by the name that the text holds, if any, and the uid.
    Mention(Option<&'a str>, &'a str),
    /// Everybody, or a group of people.
    All(&'a str),
    Web(&'a str),
}

/// A text, whole where it is short; else its beginning, and the rest to be opened.
pub fn text(frame: &Frame, text: &str, mentioned: &[Person]) -> Html {
    let whole = format!("<bdi class=\"said\">{}</bdi>", pieces(frame, text, mentioned));
    let Some((end, _)) = text.char_indices().nth(SHOWN) else { return Html(whole) };
    let (start, length) = (view::escape(&plain(&text[..end], mentioned)), view::number(text.chars().count()));
    Html(format!(
        "<details class=\"long\"><summary><bdi class=\"said\">{start}…</bdi> <span class=\"more\">all {length} characters</span></summary>{whole}</details>"
    ))
}

/// A text on one line of a list: mentions by name, nothing linked.
pub fn line(text: &str, mentioned: &[Person]) -> Html {
    view::name(&plain(text, mentioned))
}

fn plain(text: &str, mentioned: &[Person]) -> String {
    let piece = |piece: &Piece<'_>| match piece {
        Piece::Plain(text) | Piece::Web(text) => (*text).to_owned(),
        Piece::Mention(name, uid) => format!("@{}", called(*name, uid, mentioned)),
        Piece::All(whom) => format!("@{whom}"),
    };
    read(text).iter().map(piece).collect()
}

fn pieces(frame: &Frame, text: &str, mentioned: &[Person]) -> String {
    let piece = |piece: &Piece<'_>| match piece {
        Piece::Plain(text) => view::escape(text),
        Piece::Web(url) => view::elsewhere(url).to_string(),
        Piece::All(whom) => format!("<b>@{}</b>", view::escape(whom)),
        Piece::Mention(name, uid) => {
            let href = view::escape(&frame.link("/user", &[("uid", uid)]));
            format!("<a href=\"{href}\">@{}</a>", view::name(called(*name, uid, mentioned)))
        }
    };
    read(text).iter().map(piece).collect()
}

fn called<'a>(name: Option<&'a str>, uid: &'a str, mentioned: &'a [Person]) -> &'a str {
    let known = mentioned.iter().find(|it| it.uid == uid).and_then(|it| it.name.as_deref());
    known.or(name).filter(|it| !it.trim().is_empty()).unwrap_or(uid)
}

/// Finds mentions (`<@uid:ID>`, `<@all:WHOM>` and the older `@{NAME|ID}`) and addresses.
fn read(text: &str) -> Vec<Piece<'_>> {
    let (mut found, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(offset) = text[at..].find(['<', '@', 'h']) {
        at += offset;
        match special(&text[at..]) {
            Some((piece, length)) => {
                if from < at {
                    found.push(Piece::Plain(&text[from..at]));
                }
                found.push(piece);
                at += length;
                from = at;
            }
            None => at += 1,
        }
    }
    if from < text.len() {
        found.push(Piece::Plain(&text[from..]));
    }
    found
}

/// The mention or address that a text begins with, and its length.
fn special(text: &str) -> Option<(Piece<'_>, usize)> {
    let until = |start: usize, end: char| {
        let length = text[start..].find(end).filter(|length| (1..MENTION).contains(length))?;
        Some((&text[start..start + length], start + length + 1))
    };
    if text.starts_with("<@uid:") {
        return until(6, '>').map(|(uid, length)| (Piece::Mention(None, uid), length));
    }
    if text.starts_with("<@all:") {
        return until(6, '>').map(|(whom, length)| (Piece::All(whom), length));
    }
    if text.starts_with("@{") {
        let (inside, length) = until(2, '}')?;
        let (name, uid) = inside.rsplit_once('|').filter(|(_, uid)| !uid.is_empty())?;
        return Some((Piece::Mention(Some(name), uid), length));
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        let end = text.find(|it: char| it.is_whitespace() || matches!(it, '<' | '>' | '"')).unwrap_or(text.len());
        let url = text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '\'']);
        return (url.len() > 8).then_some((Piece::Web(url), url.len()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_and_addresses_are_found_and_nothing_else() {
        use Piece::{All, Mention, Plain, Web};
        for (text, found) in [
            ("hi <@uid:kofi>!", vec![Plain("hi "), Mention(None, "kofi"), Plain("!")]),
            ("@{Kofi M|kofi} there", vec![Mention(Some("Kofi M"), "kofi"), Plain(" there")]),
            ("<@all:all> up", vec![All("all"), Plain(" up")]),
            ("see https://a.example/x?y=1.", vec![Plain("see "), Web("https://a.example/x?y=1"), Plain(".")]),
            ("h < @ <@uid:> @{x} https://", vec![Plain("h < @ <@uid:> @{x} https://")]),
            ("é<@uid:é>é", vec![Plain("é"), Mention(None, "é"), Plain("é")]),
            ("", vec![]),
        ] {
            assert_eq!(read(text), found, "{text}");
        }
    }

    #[test]
    fn a_mention_is_a_name_that_leads_to_the_person_and_cannot_leave_its_place() {
        let (frame, kofi) = (Frame::default(), Person { uid: "kofi".into(), name: Some("Kofi <b>".into()) });
        let html = text(&frame, "hi <@uid:kofi> & <@uid:\"x>", &[kofi]).0;
        assert!(
            html.contains("<a href=\"/user?uid=kofi\">@<bdi class=\"name\">Kofi &lt;b&gt;</bdi></a> &amp;"),
            "{html}"
        );
        assert!(html.contains("uid=%22x\">@<bdi class=\"name\">&quot;x</bdi>"), "{html}");
        assert!(text(&frame, &"x".repeat(10_000), &[]).0.contains("all 10,000 characters"));
        let kofi = Person { uid: "kofi".into(), name: Some("Kofi Mensah".into()) };
        assert!(line("hi <@uid:kofi>", &[kofi]).0.contains("hi @Kofi Mensah"));
    }
}
