//! The grammar, and escapes.

use super::{Kind, Node, SyntaxError};

/// Walks the text once. Open containers are on a stack of our own, so depth costs memory and no stack.
pub(super) fn tape(bytes: &[u8]) -> Result<Vec<Node>, SyntaxError> {
    let mut parser = Parser { bytes, at: 0, nodes: Vec::with_capacity(bytes.len() / 12 + 1), open: Vec::new() };
    parser.run()?;
    Ok(parser.nodes)
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    open: Vec<usize>,
}

impl Parser<'_> {
    fn run(&mut self) -> Result<(), SyntaxError> {
        self.space();
        loop {
            // A value begins here.
            let opened = self.value()?;
            if opened {
                continue;
            }
            // A value ended here: go on in the container around it, or end.
            loop {
                self.space();
                let Some(&container) = self.open.last() else {
                    return if self.at == self.bytes.len() {
                        Ok(())
                    } else {
                        Err(self.expected("the end of the text"))
                    };
                };
                let object = self.nodes[container].kind == Kind::Object;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if object => self.close(),
                    Some(b']') if !object => self.close(),
                    _ => return Err(self.expected(if object { "',' or '}'" } else { "',' or ']'" })),
                }
            }
        }
    }

    /// Reads a scalar or an empty container, or opens a container (true) and stands before its first value.
    fn value(&mut self) -> Result<bool, SyntaxError> {
        match self.peek() {
            Some(b'{') => {
                self.open(Kind::Object);
                if self.peek() == Some(b'}') {
                    self.close();
                    return Ok(false);
                }
                self.key()?;
                Ok(true)
            }
            Some(b'[') => {
                self.open(Kind::Array);
                if self.peek() == Some(b']') {
                    self.close();
                    return Ok(false);
                }
                Ok(true)
            }
            Some(b'"') => self.string().map(|()| false),
            Some(b't') => self.word("true", Kind::True),
            Some(b'f') => self.word("false", Kind::False),
            Some(b'n') => self.word("null", Kind::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.expected("a value")),
        }
    }

    fn key(&mut self) -> Result<(), SyntaxError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in double quotes"));
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected("':'"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn open(&mut self, kind: Kind) {
        self.open.push(self.nodes.len());
        self.push(kind, self.at, self.at);
        self.at += 1;
        self.space();
    }

    fn close(&mut self) {
        self.at += 1;
        if let Some(container) = self.open.pop() {
            self.nodes[container].end = self.at as u32;
            self.nodes[container].next = self.nodes.len() as u32;
        }
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                                    return Err(self.expected("four hexadecimal digits"));
                                }
                                self.at += 1;
                            }
                        }
                        _ => return Err(self.expected("an escape")),
                    }
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(self.expected("a character or '\"'")),
            }
        }
        self.push(Kind::Text { escaped }, start, self.at);
        self.at += 1;
        Ok(())
    }

    fn number(&mut self) -> Result<bool, SyntaxError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.push(Kind::Number, start, self.at);
        Ok(false)
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static str, kind: Kind) -> Result<bool, SyntaxError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.push(kind, self.at, self.at + word.len());
        self.at += word.len();
        Ok(false)
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { kind, start: start as u32, end: end as u32, next });
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expected(&self, expected: &'static str) -> SyntaxError {
        SyntaxError { expected, at: self.at }
    }
}

/// Decodes the escapes of a text that passed the grammar.
pub(super) fn unescape(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or("");
        out.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => unicode(&mut rest),
            other => char::from(other),
        });
    }
    out.push_str(rest);
    out
}

/// The character of `\uXXXX`, or of a pair of surrogates; U+FFFD for a lone one.
fn unicode(rest: &mut &str) -> char {
    let first = hex(rest);
    *rest = rest.get(4..).unwrap_or("");
    if (0xd800..0xdc00).contains(&first)
        && let Some(after) = rest.strip_prefix("\\u")
    {
        let second = hex(after);
        if (0xdc00..0xe000).contains(&second) {
            *rest = after.get(4..).unwrap_or("");
            return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).unwrap_or('\u{fffd}');
        }
    }
    char::from_u32(first).unwrap_or('\u{fffd}')
}

fn hex(text: &str) -> u32 {
    text.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0xfffd)
}
