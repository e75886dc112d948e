//! The header `Sec-WebSocket-Protocol`, spelled as its RFC spells it.
//!
//! The name of a header has no case, and actix writes all names in lower case. Python's `gql` looks up this one name by its
//! letters, and without it speaks an older protocol.

use super::stream::Stream;
use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How an answer begins that opens a websocket.
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";
const WRITTEN: &[u8] = b"\r\nsec-websocket-protocol: ";
const SPELLED: &[u8] = b"\r\nSec-WebSocket-Protocol: ";

/// A connection that spells this name so.
pub(super) struct Spelled(pub Stream);

/// The head of an answer with the name spelled; `None` for all other bytes.
fn spelled(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(SWITCHING) {
        return None;
    }
    let at = bytes.windows(WRITTEN.len()).position(|window| window == WRITTEN)?;
    let mut head = bytes.to_vec();
    head[at..at + SPELLED.len()].copy_from_slice(SPELLED);
    Some(head)
}

impl AsyncWrite for Spelled {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let head = spelled(bytes);
        Pin::new(&mut self.0).poll_write(context, head.as_deref().unwrap_or(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl AsyncRead for Spelled {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_spelled_where_a_websocket_opens_and_nowhere_else() {
        let head =
            |status: &str| format!("HTTP/1.1 {status} X\r\nupgrade: websocket\r\nsec-websocket-protocol: p\r\n\r\n");
        let told = String::from_utf8(spelled(head("101").as_bytes()).unwrap()).unwrap();
        assert_eq!(told, head("101").replace("sec-websocket-protocol", "Sec-WebSocket-Protocol"));
        assert!(spelled(head("200").as_bytes()).is_none());
        assert!(spelled(b"HTTP/1.1 101 X\r\nupgrade: websocket\r\n\r\n").is_none());
    }
}
