//! Subscribers: by websocket, and by Server-Sent Events.

use super::TestServer;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// A message of a group of the app `a`.
pub fn message(id: i64, group: &str) -> String {
    format!(
        r#"{{"trigger":"message_sent","appId":"a","data":{{"message":{{"id":"{id}","sender":"u{}","receiverType":"group","receiver":"{group}","category":"message","type":"text","sentAt":{},"data":{{"text":"no {id}"}}}}}}}}"#,
        id % 3,
        1_767_614_400 + id
    )
}

/// A subscriber by websocket.
pub struct Client(pub WebSocket<TcpStream>);

impl Client {
    /// Connected, not greeted.
    pub fn connect(server: &TestServer) -> Self {
        let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().unwrap());
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(tungstenite::client(request, stream).unwrap().0)
    }

    pub fn greeted(server: &TestServer) -> Self {
        let mut client = Self::connect(server);
        client.say(&json!({"type": "connection_init"}));
        assert_eq!(client.hear()["type"], "connection_ack");
        client
    }

    pub fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).unwrap();
    }

    pub fn subscribe(&mut self, id: &str, query: &str) {
        self.say(&json!({"id": id, "type": "subscribe", "payload": {"query": query}}));
    }

    pub fn hear(&mut self) -> Value {
        self.hear_or_close().unwrap_or_else(|code| panic!("closed: {code}"))
    }

    /// The next message; the number with which the socket is closed instead.
    pub fn hear_or_close(&mut self) -> Result<Value, u16> {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => return Err(frame.map_or(0, |frame| frame.code.into())),
                _ => {}
            }
        }
    }

    /// The next change's log position.
    pub fn seq(&mut self) -> i64 {
        let heard = self.hear();
        let seq = heard["payload"]["data"]["changes"]["seq"].as_str();
        seq.unwrap_or_else(|| panic!("{heard}")).parse().unwrap()
    }

    pub fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.hear_or_close() {
                return code;
            }
        }
    }
}

/// Follows `GET /changes`; gives ids and data.
pub struct Events(BufReader<TcpStream>);

impl Events {
    pub fn follow(server: &TestServer, path: &str, header: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n").unwrap();
        let mut events = Self(BufReader::new(stream));
        let head = events.lines_until_blank();
        assert!(head[0].contains("200") && head.iter().any(|line| line.contains("text/event-stream")), "{head:?}");
        events
    }

    fn lines_until_blank(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    pub fn next(&mut self) -> (i64, Value) {
        loop {
            // Chunked: each event stands between a length and a blank line.
            let lines = self.lines_until_blank();
            let find = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name));
            if let (Some(id), Some(data)) = (find("id: "), find("data: ")) {
                return (id.parse().unwrap(), serde_json::from_str(data).unwrap());
            }
        }
    }
}
