//! Listening: one socket for each worker on the same address, so that the kernel spreads connections.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result, anyhow};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, on each socket.
const BACKLOG: i32 = 1_024;

/// Binds `count` sockets to `address`; port 0 takes a free one.
///
/// # Errors
///
/// Fails if the address is taken, also by another Relay, or may not be used.
pub(super) fn bind(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>> {
    if address.port() != 0 {
        // Sockets that share a port would let a second server in; one that does not share is refused.
        open(address, Sharing::Alone)
            .and_then(|socket| bind_to(&socket, address))
            .map_err(|e| explain(address, e))?;
    }
    let first = listen(address)?;
    let address = first.local_addr().context("a socket without an address")?;
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(another(&listeners[0], address)?);
    }
    Ok(listeners)
}

/// Whether other sockets of this process may have the same address.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Sharing {
    Alone,
    Shared,
}

/// Linux spreads connections over sockets that share a port.
#[cfg(target_os = "linux")]
fn another(_first: &TcpListener, address: SocketAddr) -> Result<TcpListener> {
    listen(address)
}

/// Elsewhere all workers accept from one socket.
#[cfg(not(target_os = "linux"))]
fn another(first: &TcpListener, _address: SocketAddr) -> Result<TcpListener> {
    first.try_clone().context("a socket cannot be shared")
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listen = || {
        let socket = open(address, Sharing::Shared)?;
        bind_to(&socket, address)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    listen().map_err(|error| explain(address, error))
}

fn open(address: SocketAddr, sharing: Sharing) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A predecessor's closed connections do not keep the port.
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Shared {
        share(&socket)?;
    }
    Ok(socket)
}

/// What is set here holds for accepted connections too.
#[cfg(target_os = "linux")]
fn share(socket: &Socket) -> std::io::Result<()> {
    socket.set_reuse_port(true)?;
    socket.set_tcp_user_timeout(Some(super::unread::UNREAD_FOR))
}

#[cfg(not(target_os = "linux"))]
fn share(_socket: &Socket) -> std::io::Result<()> {
    Ok(())
}

fn bind_to(socket: &Socket, address: SocketAddr) -> std::io::Result<()> {
    socket.bind(&address.into())
}

/// What the operating system has against an address, and what to do about it.
fn explain(address: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let port = address.port();
    let kind = error.kind();
    let what = if kind == ErrorKind::AddrInUse {
        format!("port {port} is in use on {}; set PORT to another one", address.ip())
    } else if kind == ErrorKind::PermissionDenied {
        format!("port {port} needs privileges; set PORT to one above 1023")
    } else if kind == ErrorKind::AddrNotAvailable {
        format!("{} is no address of this machine; set HOST", address.ip())
    } else {
        format!("cannot listen on {address}")
    };
    anyhow!(error).context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn every_worker_listens_on_the_same_free_port() {
        let listeners = bind(loopback(0), 3).unwrap();
        let ports: Vec<u16> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }

    #[test]
    fn a_second_server_on_a_port_is_refused_until_the_first_is_gone() {
        let first = bind(loopback(0), 2).unwrap();
        let address = first[0].local_addr().unwrap();
        let error = bind(address, 2).unwrap_err().to_string();
        assert!(error.contains("in use") && error.contains("PORT"), "{error}");
        drop(first);
        assert_eq!(bind(address, 2).unwrap().len(), 2);
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        let error = bind(SocketAddr::from(([192, 0, 2, 1], 4000)), 1).unwrap_err().to_string();
        assert!(error.contains("HOST"), "{error}");
    }
}
