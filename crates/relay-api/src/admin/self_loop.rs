//! A proxy that is Relay itself would send every request back to where it came from.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::time::Duration;

use relay_engine::operator::NewProxy;

use super::error::ApiError;
use super::session::Session;

/// How long a look-up of the proxy's name may take. What cannot be told then is let pass.
const PATIENCE: Duration = Duration::from_secs(2);

/// Refuses a proxy that is known to be Relay itself.
pub(super) async fn refuse(session: &Session, proxy: &NewProxy) -> Result<(), ApiError> {
    let Some(own) = session.listens_on().filter(|own| own.port() == proxy.port) else {
        return Ok(());
    };
    let (host, port) = (proxy.host.trim_matches(['[', ']']).to_owned(), proxy.port);
    let look_up = tokio::task::spawn_blocking(move || {
        let found = (host.as_str(), port).to_socket_addrs();
        found.is_ok_and(|mut found| found.any(|address| is_ours(address.ip(), own)))
    });
    match tokio::time::timeout(PATIENCE, look_up).await {
        Ok(Ok(true)) => Err(ApiError::Invalid { field: "proxy", why: "must not be Relay itself" }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether who listens on `own` hears what is sent to `address`.
fn is_ours(address: IpAddr, own: SocketAddr) -> bool {
    let (address, own) = (address.to_canonical(), own.ip().to_canonical());
    if address.is_unspecified() {
        return own.is_loopback() || own.is_unspecified();
    }
    // Only an address of this machine can be bound.
    let is_local = || !address.is_multicast() && UdpSocket::bind((address, 0)).is_ok();
    address == own || (own.is_unspecified() && is_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relay_knows_its_own_addresses() {
        let cases = [
            ("127.0.0.1", "127.0.0.1:4000", true),
            ("0.0.0.0", "127.0.0.1:4000", true),
            ("127.0.0.1", "0.0.0.0:4000", true),
            ("::ffff:127.0.0.1", "127.0.0.1:4000", true),
            ("127.0.0.1", "10.0.0.1:4000", false),
            ("192.0.2.1", "0.0.0.0:4000", false),
            ("192.0.2.1", "127.0.0.1:4000", false),
        ];
        for (address, own, expected) in cases {
            let found = is_ours(address.parse().unwrap(), own.parse().unwrap());
            assert_eq!(found, expected, "{address} {own}");
        }
    }
}
