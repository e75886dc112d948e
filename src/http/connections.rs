//! Limits the number of connections: of all together, and of each address.
//!
//! A connection that has sent no whole head of a request costs its peer nothing. So if all places are taken, the oldest
//! such connection is closed for the new one. Connections that have sent no byte wait before HTTP, where they take
//! little memory. A handshake of TLS counts as silence. A trusted proxy tells the address of each client, so its connections
//! count for the clients. Any other proxy makes all its clients one address.

use super::proxies;
use super::spelled::Spelled;
use super::stream::{Io, Stream};
use actix_http::Protocol;
use actix_web::HttpRequest;
use actix_web::dev::{Extensions, Service, ServiceFactory, fn_factory};
use actix_web::rt::net::TcpStream;
use ipnet::IpNet;
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
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;

/// From the connection to its first byte, and to the end of the handshake of TLS.
const SILENCE: Duration = Duration::from_secs(5);
/// How a handshake of TLS begins.
const HANDSHAKE: u8 = 0x16;
const NO_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 44\r\nconnection: close\r\n\r\n\
                        this port speaks TLS: use https:// or wss://";
/// What the client of a trusted proxy is told that has too many connections.
pub(super) const CROWDED: &str = "this address has too many connections: try again later";
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// All connections.
pub(super) struct Connections {
    most: usize,
    most_of_address: usize,
    /// Proxies that tell the addresses of their clients.
    trusted: Vec<IpNet>,
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
    pub(super) fn new(most: usize, most_of_address: usize, trusted: &[IpNet]) -> Arc<Self> {
        Arc::new(Self { most, most_of_address, trusted: trusted.to_vec(), held: Mutex::default() })
    }

    /// A place for a new connection. `None` if all places are taken and no connection is silent.
    fn enter(self: &Arc<Self>, peer: Option<SocketAddr>) -> Option<Arc<Place>> {
        let peer = peer.map(|peer| peer.ip());
        let address = network(peer);
        let counts = !peer.is_some_and(|peer| proxies::trusts(&self.trusted, peer));
        let mut held = self.held();
        let own = held.of_address.get(&address).filter(|_| counts);
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
        Some(Arc::new(Place {
            connections: Arc::clone(self),
            id,
            address: Mutex::new(address),
            displaced,
            has_asked: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
        }))
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
        self.leave_address(id, address);
    }

    fn leave_address(&mut self, id: u64, address: IpAddr) {
        let Some(own) = self.of_address.get_mut(&address) else { return };
        own.all -= 1;
        own.silent.remove(&id);
        if own.all == 0 {
            self.of_address.remove(&address);
        }
    }
}

/// The address. For IPv6 the network, because one subscriber has that many addresses.
pub(super) fn network(address: Option<IpAddr>) -> IpAddr {
    match address.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        Some(ip) => ip,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The place of one connection. It is free again when dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    /// For whom it counts: the peer, or the client of a trusted proxy.
    address: Mutex<IpAddr>,
    displaced: Arc<Notify>,
    has_asked: AtomicBool,
    /// The last request is answered, and the next is not there.
    is_answered: AtomicBool,
}

impl Place {
    /// The connection has sent a request of this client, so it gives way no more, unless it had to before. False if the
    /// client of a trusted proxy has too many connections.
    fn ask(&self, client: IpAddr) -> bool {
        let mut address = self.address();
        if self.has_asked.load(Ordering::Relaxed) && *address == client {
            return true;
        }
        let mut held = self.connections.held();
        if !self.has_asked.load(Ordering::Relaxed) {
            if held.silent.remove(&self.id).is_none() {
                return true;
            }
            if let Some(own) = held.of_address.get_mut(&address) {
                own.silent.remove(&self.id);
            }
            self.has_asked.store(true, Ordering::Relaxed);
        }
        if *address != client {
            let all = held.of_address.get(&client).map_or(0, |of| of.all);
            if all >= self.connections.most_of_address {
                return false;
            }
            held.leave_address(self.id, *address);
            held.of_address.entry(client).or_default().all += 1;
            *address = client;
        }
        true
    }

    /// Whether a request was answered, and the next one is not there.
    pub(super) fn waits_for_a_request(&self) -> bool {
        self.is_answered.load(Ordering::Relaxed)
    }

    fn address(&self) -> MutexGuard<'_, IpAddr> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let address = *self.address();
        let mut held = self.connections.held();
        // Whoever displaced it has counted it out.
        if held.silent.remove(&self.id).is_some() || self.has_asked.load(Ordering::Relaxed) {
            held.leave(self.id, address);
        }
    }
}

/// Stores the place of a connection with the connection.
pub(super) fn connected(stream: &Spelled, extensions: &mut Extensions) {
    extensions.insert(Arc::clone(&stream.0.place));
}

/// A request that is being answered. Dropped with the last byte of the answer.
pub(super) struct Answering(Option<Arc<Place>>);

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            place.is_answered.store(true, Ordering::Relaxed);
        }
    }
}

/// Notes that the connection of a request has sent one. `None` if its client has too many connections.
pub(super) fn begin(request: &HttpRequest, trusted: &[IpNet]) -> Option<Answering> {
    let Some(place) = request.conn_data::<Arc<Place>>() else { return Some(Answering(None)) };
    place.is_answered.store(false, Ordering::Relaxed);
    let answering = Answering(Some(Arc::clone(place)));
    place.ask(network(proxies::client(request, trusted))).then_some(answering)
}

/// The stream that HTTP is given.
type Spoken = (Spelled, Protocol, Option<SocketAddr>);

/// Stands before HTTP. A connection passes once it sends something.
pub(super) fn before<F>(
    http: F,
    connections: Arc<Connections>,
    tls: Option<TlsAcceptor>,
    stopping: watch::Receiver<bool>,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = F::Error, InitError = F::InitError>
where
    F: ServiceFactory<Spoken, Config = (), Response = ()> + 'static,
    F::Service: 'static,
    F::Future: 'static,
{
    fn_factory(move || {
        let (made, connections) = (http.new_service(()), Arc::clone(&connections));
        let (tls, stopping) = (tls.clone(), stopping.clone());
        async move { Ok(Gate { http: Rc::new(made.await?), connections, tls, stopping }) }
    })
}

struct Gate<S> {
    http: Rc<S>,
    connections: Arc<Connections>,
    tls: Option<TlsAcceptor>,
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
        let (http, tls, mut stopping) = (Rc::clone(&self.http), self.tls.clone(), self.stopping.clone());
        Box::pin(async move {
            let Some(place) = place else { return Ok(()) };
            let end = Instant::now() + SILENCE;
            tokio::select! {
                _ = stream.readable() => {}
                () = place.displaced.notified() => return Ok(()),
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
                () = sleep_until(end) => {
                    if tls.is_none() {
                        // Who does not read hears nothing; the connection ends all the same.
                        let _ = stream.try_write(TOO_LATE);
                    }
                    return Ok(());
                }
            }
            let io = match tls {
                None => Io::Plain(stream),
                Some(tls) => tokio::select! {
                    io = shake_hands(stream, &tls) => match io {
                        Some(io) => io,
                        None => return Ok(()),
                    },
                    () = place.displaced.notified() => return Ok(()),
                    _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
                    () = sleep_until(end) => return Ok(()),
                },
            };
            poll_fn(|context| http.poll_ready(context)).await?;
            let served = http.call((Spelled(Stream::new(io, Arc::clone(&place))), Protocol::Http1, peer));
            tokio::select! {
                served = served => served,
                () = place.displaced.notified() => Ok(()),
            }
        })
    }
}

/// The stream inside TLS. `None` if the peer speaks no TLS, which it is told, or another TLS.
async fn shake_hands(stream: TcpStream, tls: &TlsAcceptor) -> Option<Io> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 1 && first[0] != HANDSHAKE {
        let _ = stream.try_write(NO_TLS);
        return None;
    }
    match tls.accept(stream).await {
        Ok(stream) => Some(Io::Tls(Box::new(stream))),
        Err(error) => {
            tracing::debug!(%error, "no handshake of TLS");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    fn peer(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(ip(address), 1))
    }

    async fn is_displaced(place: &Place) -> bool {
        tokio::time::timeout(Duration::from_millis(1), place.displaced.notified()).await.is_ok()
    }

    #[actix_web::test]
    async fn the_oldest_silent_one_gives_way_to_who_comes() {
        let connections = Connections::new(100, 2, &[]);
        let first = connections.enter(peer("192.0.2.1")).unwrap();
        let second = connections.enter(peer("192.0.2.1")).unwrap();
        let third = connections.enter(peer("192.0.2.1")).unwrap();
        assert!(is_displaced(&first).await && !is_displaced(&second).await);
        [&first, &second, &third].into_iter().for_each(|place| assert!(place.ask(ip("192.0.2.1"))));
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
        let connections = Connections::new(2, 2, &[]);
        let first = connections.enter(peer("2001:db8::1")).unwrap();
        let second = connections.enter(peer("192.0.2.1")).unwrap();
        second.ask(ip("192.0.2.1"));
        let third = connections.enter(peer("192.0.2.2")).unwrap();
        assert!(is_displaced(&first).await);
        third.ask(ip("192.0.2.2"));
        assert!(connections.enter(peer("192.0.2.3")).is_none());
    }

    #[test]
    fn connections_of_a_trusted_proxy_count_for_its_clients() {
        let connections = Connections::new(100, 2, &["10.0.0.7/32".parse().unwrap()]);
        let places: Vec<_> = (0..4).map(|_| connections.enter(peer("10.0.0.7")).unwrap()).collect();
        assert!(places[0].ask(ip("192.0.2.1")) && places[1].ask(ip("192.0.2.1")));
        assert!(!places[2].ask(ip("192.0.2.1")), "a third of one client");
        assert!(places[2].ask(ip("192.0.2.2")), "the same connection, for another client");
        assert!(places[0].ask(ip("192.0.2.2")) && places[3].ask(ip("192.0.2.1")), "a connection is used again");
        assert!(!places[1].ask(ip("192.0.2.2")));
        drop(places);
        assert!(connections.held().of_address.is_empty() && connections.held().all == 0);
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        assert_eq!(network(Some(ip("2001:db8:1:2::1"))), network(Some(ip("2001:db8:1:2:ffff::9"))));
        assert_ne!(network(Some(ip("2001:db8:1:2::1"))), network(Some(ip("2001:db8:1:3::1"))));
        assert_eq!(network(Some(ip("::ffff:192.0.2.1"))), network(Some(ip("192.0.2.1"))));
    }
}
