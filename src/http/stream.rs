//! A connection as HTTP gets it: plain or TLS, and closed if its peer stops in the middle.
//!
//! actix limits the time of the first head of a connection, and of silence between two requests. The two waits that are
//! left to us: the rest of a later head, and a peer that does not read its answer.

use super::connections::Place;
use actix_web::rt::net::TcpStream;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

/// From the end of an answer to the whole head of the next request.
const NEXT_HEAD: Duration = Duration::from_secs(10);
/// How long a peer may read nothing of an answer.
const NOT_READING: Duration = Duration::from_secs(10);

/// The bytes of a connection.
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection with its time limits.
pub(super) struct Stream {
    io: Io,
    pub place: Arc<Place>,
    head: Limit,
    reading: Limit,
}

/// A limit that begins with the first wait and ends with [`Limit::clear`].
#[derive(Default)]
struct Limit(Option<Pin<Box<Sleep>>>);

impl Limit {
    fn is_over(&mut self, after: Duration, context: &mut Context<'_>) -> bool {
        self.0.get_or_insert_with(|| Box::pin(sleep(after))).as_mut().poll(context).is_ready()
    }

    fn clear(&mut self) {
        self.0 = None;
    }
}

impl Stream {
    pub fn new(io: Io, place: Arc<Place>) -> Self {
        Self { io, place, head: Limit::default(), reading: Limit::default() }
    }

    /// Fails a write that waits for the peer too long.
    fn read_by_peer<T>(&mut self, written: Poll<Result<T>>, context: &mut Context<'_>) -> Poll<Result<T>> {
        match written {
            Poll::Pending if self.reading.is_over(NOT_READING, context) => {
                Poll::Ready(Err(Error::from(ErrorKind::TimedOut)))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(written) => {
                self.reading.clear();
                Poll::Ready(written)
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let read = match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Io::Tls(io) => Pin::new(io).poll_read(context, buffer),
        };
        if !self.place.waits_for_a_request() {
            self.head.clear();
        } else if read.is_pending() && self.head.is_over(NEXT_HEAD, context) {
            // As if the peer had closed: there is no request to answer.
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Io::Tls(io) => Pin::new(io).poll_write(context, bytes),
        };
        self.read_by_peer(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(context),
            Io::Tls(io) => Pin::new(io).poll_flush(context),
        };
        self.read_by_peer(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(context),
            Io::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
