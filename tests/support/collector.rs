//! A collector of OpenTelemetry: a real HTTP server on loopback that keeps what it is sent, and reads the spans.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Collector {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// Path and body.
type Request = (String, Vec<u8>);

/// A span: its name, and its attributes as texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    /// The attributes of the process that sent it.
    pub resource: BTreeMap<String, String>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Request>>>::default());
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    while let Some(request) = take(&stream) {
                        kept.lock().unwrap().push(request);
                    }
                });
            }
        });
        Self { address, requests }
    }

    /// The variables with which a server sends its spans here, soon.
    pub fn named(&self, command: &mut Command) {
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", self.address))
            .env("OTEL_BSP_SCHEDULE_DELAY", "50");
    }

    /// All that came.
    pub fn bytes(&self) -> Vec<u8> {
        self.requests.lock().unwrap().iter().flat_map(|(_, body)| body.clone()).collect()
    }

    pub fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        assert!(requests.iter().all(|(path, _)| path == "/v1/traces"), "{requests:?}");
        requests.iter().flat_map(|(_, body)| spans(body)).collect()
    }

    /// Waits for a span.
    pub fn wait_for(&self, wanted: impl Fn(&Span) -> bool) -> Span {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let spans = self.spans();
            if let Some(span) = spans.iter().find(|span| wanted(span)) {
                return span.clone();
            }
            assert!(Instant::now() < deadline, "not among {spans:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Reads a request and answers 200.
fn take(mut stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    lines.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        match line.trim_end().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => panic!("a header: {line}"),
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n").ok()?;
    Some((first.split(' ').nth(1)?.to_owned(), body))
}

/// What a field of a message of Protocol Buffers holds.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn number(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes);
        let field = if tag & 7 == 0 {
            Field::Number(number(&mut bytes))
        } else {
            let length = match tag & 7 {
                1 => 8,
                2 => number(&mut bytes) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            let (value, rest) = bytes.split_at(length);
            bytes = rest;
            Field::Bytes(value)
        };
        found.push((tag >> 3, field));
    }
    found
}

/// The messages of a field.
fn messages(bytes: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes).into_iter().filter_map(move |(at, field)| match field {
        Field::Bytes(value) if at == number => Some(value),
        _ => None,
    })
}

fn text(bytes: &[u8], number: u64) -> String {
    messages(bytes, number).map(|text| std::str::from_utf8(text).unwrap()).collect()
}

/// `KeyValue`: 1 the key, 2 the value, which holds 1 a text, 2 a Boolean or 3 an integer.
fn attributes(bytes: &[u8], number: u64) -> BTreeMap<String, String> {
    let value = |pair: &[u8]| {
        let value = messages(pair, 2).next().unwrap();
        match fields(value).first() {
            Some((1, Field::Bytes(text))) => std::str::from_utf8(text).unwrap().to_owned(),
            Some((2 | 3, Field::Number(number))) => number.to_string(),
            _ => "another".to_owned(),
        }
    };
    messages(bytes, number).map(|pair| (text(pair, 1), value(pair))).collect()
}

/// `ExportTraceServiceRequest`: 1 resources, each with 1 its own attributes and 2 scopes, each with 2 spans, each with 5 its
/// name and 9 its attributes.
fn spans(body: &[u8]) -> Vec<Span> {
    let of = |group: &[u8]| {
        let resource = messages(group, 1).map(|it| attributes(it, 1)).next().unwrap();
        let spans = messages(group, 2).flat_map(|scope| messages(scope, 2).collect::<Vec<_>>());
        let span =
            |span: &[u8]| Span { name: text(span, 5), attributes: attributes(span, 9), resource: resource.clone() };
        spans.map(span).collect::<Vec<_>>()
    };
    messages(body, 1).flat_map(of).collect()
}
