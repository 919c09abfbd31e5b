//! Free TCP ports on loopback.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use rand::Rng;

/// Below the range that the kernel hands to outgoing connections, so that nobody can be given the port between
/// this choice and the server's bind, nor while a server is down for a restart.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// A port nobody listens on. Chosen at random, so that parallel test processes do not race for the same one.
///
/// # Panics
/// When a thousand tries find none.
#[must_use]
pub fn free() -> u16 {
    let mut random = rand::rng();
    (0..1000)
        .map(|_| random.random_range(RANGE))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("some port is free")
}

/// Whether something accepts connections on the port.
#[must_use]
pub fn is_open(port: u16) -> bool {
    TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_millis(200)).is_ok()
}
