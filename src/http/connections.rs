//! Limits the number of connections: of all together, and of each address.
//!
//! A connection that has sent no whole head of a request costs its peer nothing. So if all places are taken, the oldest
//! such connection is closed for the new one. Connections that have sent no byte wait before HTTP, where they take
//! little memory. A proxy makes all its clients one address. It connects only to send a request, so its connections
//! never wait among the silent ones.

use super::spelled::Spelled;
use actix_http::Protocol;
use actix_web::HttpRequest;
use actix_web::dev::{Extensions, Service, ServiceFactory, fn_factory};
use actix_web::rt::net::TcpStream;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, watch};

thread_local! {
    /// The place of the connection that is just being handed to HTTP.
    static HANDED: RefCell<Option<Arc<Place>>> = const { RefCell::new(None) };
}

/// From the connection to its first byte.
const SILENCE: Duration = Duration::from_secs(5);
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// All connections.
pub(super) struct Connections {
    most: usize,
    most_of_address: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    next: u64,
    all: usize,
    of_address: HashMap<IpAddr, OfAddress>,
    /// The connections that have sent no request yet, the oldest first.
    silent: BTreeMap<u64, (IpAddr, Arc<Notify>)>,
}

#[derive(Default)]
struct OfAddress {
    all: usize,
    silent: BTreeSet<u64>,
}

impl Connections {
    pub(super) fn new(most: usize, most_of_address: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_address, held: Mutex::default() })
    }

    /// A place for a new connection. `None` if all places are taken and no connection is silent.
    fn enter(self: &Arc<Self>, peer: Option<SocketAddr>) -> Option<Arc<Place>> {
        let address = network(peer);
        let mut held = self.held();
        let own = held.of_address.get(&address);
        if own.is_some_and(|own| own.all >= self.most_of_address) {
            let oldest = own.and_then(|own| own.silent.first().copied())?;
            held.displace(oldest);
        } else if held.all >= self.most {
            let oldest = held.silent.keys().next().copied()?;
            held.displace(oldest);
        }
        let id = held.next;
        held.next += 1;
        held.all += 1;
        let own = held.of_address.entry(address).or_default();
        own.all += 1;
        own.silent.insert(id);
        let displaced = Arc::new(Notify::new());
        held.silent.insert(id, (address, Arc::clone(&displaced)));
        let connections = Arc::clone(self);
        Some(Arc::new(Place { connections, id, address, displaced, has_asked: AtomicBool::new(false) }))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn displace(&mut self, id: u64) {
        if let Some((address, displaced)) = self.silent.remove(&id) {
            self.leave(id, address);
            displaced.notify_one();
        }
    }

    fn leave(&mut self, id: u64, address: IpAddr) {
        self.all -= 1;
        let Some(own) = self.of_address.get_mut(&address) else { return };
        own.all -= 1;
        own.silent.remove(&id);
        if own.all == 0 {
            self.of_address.remove(&address);
        }
    }
}

/// The address. For IPv6 the network, because one subscriber has that many addresses.
pub(super) fn network(peer: Option<SocketAddr>) -> IpAddr {
    match peer.map(|peer| peer.ip().to_canonical()) {
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        Some(ip) => ip,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The place of one connection. It is free again when dropped.
struct Place {
    connections: Arc<Connections>,
    id: u64,
    address: IpAddr,
    displaced: Arc<Notify>,
    has_asked: AtomicBool,
}

impl Place {
    /// The connection has sent a request, so it gives way no more, unless it had to before.
    fn ask(&self) {
        if self.has_asked.load(Ordering::Relaxed) {
            return;
        }
        let mut held = self.connections.held();
        if held.silent.remove(&self.id).is_none() {
            return;
        }
        if let Some(own) = held.of_address.get_mut(&self.address) {
            own.silent.remove(&self.id);
        }
        self.has_asked.store(true, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.connections.held();
        // Whoever displaced it has counted it out.
        if held.silent.remove(&self.id).is_some() || self.has_asked.load(Ordering::Relaxed) {
            held.leave(self.id, self.address);
        }
    }
}

/// Stores the place of a connection with the connection.
pub(super) fn connected(_: &Spelled, extensions: &mut Extensions) {
    if let Some(place) = HANDED.take() {
        extensions.insert(place);
    }
}

/// Notes that the connection of a request has sent one.
pub(super) fn asked(request: &HttpRequest) {
    if let Some(place) = request.conn_data::<Arc<Place>>() {
        place.ask();
    }
}

/// The stream that HTTP is given.
type Spoken = (Spelled, Protocol, Option<SocketAddr>);

/// Stands before HTTP. A connection passes once it sends something.
pub(super) fn before<F>(
    http: F,
    connections: Arc<Connections>,
    stopping: watch::Receiver<bool>,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = F::Error, InitError = F::InitError>
where
    F: ServiceFactory<Spoken, Config = (), Response = ()> + 'static,
    F::Service: 'static,
    F::Future: 'static,
{
    fn_factory(move || {
        let (made, connections, stopping) = (http.new_service(()), Arc::clone(&connections), stopping.clone());
        async move { Ok(Gate { http: Rc::new(made.await?), connections, stopping }) }
    })
}

struct Gate<S> {
    http: Rc<S>,
    connections: Arc<Connections>,
    stopping: watch::Receiver<bool>,
}

impl<S: Service<Spoken, Response = ()> + 'static> Service<TcpStream> for Gate<S> {
    type Response = ();
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<(), S::Error>>>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.http.poll_ready(context)
    }

    fn call(&self, stream: TcpStream) -> Self::Future {
        let peer = stream.peer_addr().ok();
        let place = self.connections.enter(peer);
        let (http, mut stopping) = (Rc::clone(&self.http), self.stopping.clone());
        Box::pin(async move {
            let Some(place) = place else { return Ok(()) };
            tokio::select! {
                _ = stream.readable() => {}
                () = place.displaced.notified() => return Ok(()),
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
                () = tokio::time::sleep(SILENCE) => {
                    // Who does not read hears nothing; the connection ends all the same.
                    let _ = stream.try_write(TOO_LATE);
                    return Ok(());
                }
            }
            poll_fn(|context| http.poll_ready(context)).await?;
            // Taken by `connected`, which HTTP calls before `call` returns.
            HANDED.set(Some(Arc::clone(&place)));
            let served = http.call((Spelled(stream), Protocol::Http1, peer));
            tokio::select! {
                served = served => served,
                () = place.displaced.notified() => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 1))
    }

    async fn is_displaced(place: &Place) -> bool {
        tokio::time::timeout(Duration::from_millis(1), place.displaced.notified()).await.is_ok()
    }

    #[actix_web::test]
    async fn the_oldest_silent_one_gives_way_to_who_comes() {
        let connections = Connections::new(100, 2);
        let first = connections.enter(peer("192.0.2.1")).unwrap();
        let second = connections.enter(peer("192.0.2.1")).unwrap();
        let third = connections.enter(peer("192.0.2.1")).unwrap();
        assert!(is_displaced(&first).await && !is_displaced(&second).await);
        [&first, &second, &third].into_iter().for_each(|place| place.ask());
        assert!(connections.enter(peer("192.0.2.1")).is_none(), "who has asked stays");
        assert!(connections.enter(peer("192.0.2.2")).is_some(), "another address");
        drop(first);
        assert!(connections.enter(peer("192.0.2.1")).is_none(), "who gave way is not counted out twice");
        drop(second);
        assert!(connections.enter(peer("192.0.2.1")).is_some());
        drop(third);
        assert!(connections.held().of_address.is_empty() && connections.held().all == 0);
    }

    #[actix_web::test]
    async fn many_addresses_have_no_more_places_than_there_are() {
        let connections = Connections::new(2, 2);
        let first = connections.enter(peer("2001:db8::1")).unwrap();
        let second = connections.enter(peer("192.0.2.1")).unwrap();
        second.ask();
        let third = connections.enter(peer("192.0.2.2")).unwrap();
        assert!(is_displaced(&first).await);
        third.ask();
        assert!(connections.enter(peer("192.0.2.3")).is_none());
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        assert_eq!(network(peer("2001:db8:1:2::1")), network(peer("2001:db8:1:2:ffff::9")));
        assert_ne!(network(peer("2001:db8:1:2::1")), network(peer("2001:db8:1:3::1")));
        assert_eq!(network(peer("::ffff:192.0.2.1")), network(peer("192.0.2.1")));
    }
}
