//! Binds the public addresses once for each shard.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// The kernel's queue of connections that wait to be accepted, of each shard.
const BACKLOG: i32 = 4_096;

/// Why an address could not be had.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: {}; choose another address or stop who has it", short(source))]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// For each shard, a listener for each address. The kernel spreads clients over the shards.
pub(crate) fn bind(
    addresses: &[SocketAddr],
    shards: usize,
) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), ListenError> {
    let mut bound = Vec::with_capacity(addresses.len());
    let mut of_shards: Vec<Vec<TcpListener>> = (0..shards).map(|_| Vec::new()).collect();
    for &address in addresses {
        let failed = |source| ListenError { address, source };
        let address = probe(address).map_err(failed)?;
        for listeners in &mut of_shards {
            listeners.push(listener(address).map_err(failed)?);
        }
        bound.push(address);
    }
    Ok((bound, of_shards))
}

/// Binds alone first: with SO_REUSEPORT a second gateway would silently take half of the clients.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    let bound = socket.local_addr()?;
    Ok(bound.as_socket().unwrap_or(address))
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn short(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => String::from("the address is in use"),
        io::ErrorKind::PermissionDenied => String::from("this user may not bind it"),
        io::ErrorKind::AddrNotAvailable => String::from("this machine does not have it"),
        kind => kind.to_string(),
    }
}
