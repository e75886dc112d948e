//! Deliveries to play: bodies, arrays of bodies, and what `chatfold events --json` prints.

use super::Delivery;
use crate::envelope::is_delivery;
use crate::ids::Time;
use crate::ingest::inputs;
use crate::json::{Document, Json};
use crate::trigger::as_time;
use rust_embed::RustEmbed;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The story that is played if no other is named: an evening at an observatory.
#[derive(RustEmbed)]
#[folder = "fixtures/stories/demo"]
struct Demo;

/// Why an input cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {0}: {1}")]
    Read(String, std::io::Error),
    #[error("{0} is no delivery: a delivery is a JSON object with trigger and appId")]
    NoDelivery(String),
    #[error("there are no deliveries in {0}")]
    Nothing(String),
}

/// The deliveries of the demo, in their order.
pub fn demo() -> Vec<Delivery> {
    let mut names: Vec<_> = Demo::iter().filter(|name| name.ends_with(".json")).collect();
    names.sort();
    let files = names.iter().filter_map(|name| Demo::get(name));
    files.map(|file| Delivery { body: file.data.into_owned(), at: None }).collect()
}

/// The deliveries of files and folders, and of standard input for `-`. If all of them tell when they were received, they
/// come in that order.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Delivery>, ReadError> {
    let mut all = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let failed = |error| ReadError::Read(name.clone(), error);
        let before = all.len();
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(failed)?;
            parse("standard input", &bytes, &mut all)?;
        } else {
            for file in inputs(path).map_err(failed)? {
                let bytes = std::fs::read(&file).map_err(failed)?;
                parse(&file.display().to_string(), &bytes, &mut all)?;
            }
        }
        if all.len() == before {
            return Err(ReadError::Nothing(name));
        }
    }
    if all.iter().all(|it| it.at.is_some()) {
        all.sort_by_key(|it| it.at);
    }
    Ok(all)
}

/// One document, or one a line.
fn parse(name: &str, bytes: &[u8], all: &mut Vec<Delivery>) -> Result<(), ReadError> {
    if let Ok(document) = Document::parse(bytes.to_vec()) {
        return take(name, document.root(), all);
    }
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty());
    for (number, line) in lines {
        let place = format!("{name}:{number}");
        let document = Document::parse(line.to_vec()).map_err(|_| ReadError::NoDelivery(place.clone()))?;
        take(&place, document.root(), all)?;
    }
    Ok(())
}

fn take(place: &str, found: Json<'_>, all: &mut Vec<Delivery>) -> Result<(), ReadError> {
    if found.is_array() {
        return (1..)
            .zip(found.elements())
            .try_for_each(|(number, element)| take(&format!("{place}, element {number}"), element, all));
    }
    // What the log prints has the body inside; a body has its content in `data`.
    let body = found.get("body").filter(|body| is_delivery(*body) && found.get("data").is_none());
    let at = body.and_then(|_| found.get("receivedAt"));
    let at = at.and_then(|at| as_time(at).or_else(|| Time::parse(&at.text()?)));
    let body = body.or_else(|| Some(found).filter(|it| is_delivery(*it)));
    let body = body.ok_or_else(|| ReadError::NoDelivery(place.to_owned()))?;
    all.push(Delivery { body: body.source().as_bytes().to_vec(), at });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"trigger":"t","appId":"a","data":{"n":1e3}}"#;

    fn parsed(text: &str) -> Result<Vec<Delivery>, String> {
        let mut all = Vec::new();
        parse("x", text.as_bytes(), &mut all).map(|()| all).map_err(|error| error.to_string())
    }

    #[test]
    fn bodies_arrays_lines_and_exports_are_read_byte_for_byte() {
        let bare = Delivery { body: BODY.into(), at: None };
        assert_eq!(parsed(BODY), Ok(vec![bare.clone()]));
        assert_eq!(parsed(&format!("[{BODY},{BODY}]")), Ok(vec![bare.clone(); 2]));
        assert_eq!(parsed(&format!("{BODY}\n\n{BODY}\n")), Ok(vec![bare; 2]));
        for at in ["\"2026-01-05T08:00:00.000Z\"", "1767600000000"] {
            let line = format!(r#"{{"seq":1,"trigger":"t","appId":"a","receivedAt":{at},"body":{BODY}}}"#);
            assert_eq!(parsed(&line), Ok(vec![Delivery { body: BODY.into(), at: Some(Time(1_767_600_000_000)) }]));
        }
    }

    #[test]
    fn what_is_no_delivery_is_named_with_its_place() {
        for (text, place) in [("{}", "x is"), ("[1]", "x, element 1 is"), ("nonsense", "x:1 is")] {
            assert!(parsed(text).unwrap_err().starts_with(place), "{text}");
        }
        assert!(parsed(&format!("{BODY}\n{{\"trigger\":\"t\"}}")).unwrap_err().starts_with("x:2 is"));
    }

    #[test]
    fn the_demo_is_in_the_binary() {
        let demo = demo();
        assert!(demo.len() > 70 && demo.iter().all(|it| it.body.starts_with(b"{")), "{}", demo.len());
    }
}
