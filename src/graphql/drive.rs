//! Runs the resolvers of a request on this thread, and the loaders between them.

use super::context::Asking;
use super::error::{Code, describe};
use crate::store::sqlite::read::ReadError;
use async_graphql::ServerError;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Says whether anything became ready while the request was polled.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls until all that is left waits for the loaders, lets them look up, and goes on.
pub(super) fn block_on<T>(request: impl Future<Output = T>, asking: &Asking) -> Result<T, ServerError> {
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut request = pin!(request);
    loop {
        flag.0.store(false, Ordering::Relaxed);
        if let Poll::Ready(response) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(response);
        }
        if asking.snapshot.is_late() {
            let (code, message) = describe(ReadError::Timeout);
            return Err(code.server_error(message));
        }
        if !flag.0.load(Ordering::Relaxed) && !asking.loaders.flush(&asking.snapshot) {
            tracing::error!("a request waits for nothing");
            return Err(Code::Internal.server_error("the request stopped"));
        }
    }
}
