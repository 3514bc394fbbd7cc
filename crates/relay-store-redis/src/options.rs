//! Where Redis is and how the store is to behave.

use std::time::Duration;

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    TlsCertificates, io::tcp::TcpSettings,
};
use relay_domain::Calendar;
use relay_store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};

use crate::fault;

/// Where Redis is and how the store is to behave.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Where Redis is.
    pub address: RedisAddress,
    /// The operator's calendar, by which usage is counted.
    pub calendar: Calendar,
    /// How many records of requests are kept. The oldest go first.
    pub record_capacity: usize,
    /// How long records are kept at most.
    pub record_lifetime: Duration,
    /// Whether what is charged is also told in v1's stream of billing events.
    pub billing_events: bool,
    /// What the names begin with that v1 does not know, such as `relay:`.
    pub prefix: String,
}

/// Where Redis is.
#[derive(Clone, Debug)]
pub enum RedisAddress {
    /// `redis://[[user]:password@]host[:port][/database]`, or `unix:///path`. Secret: it may hold the
    /// password.
    Url(SecretString),
    /// The parts, as v1's and v2's `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB`, `REDIS_PASSWORD`.
    Host {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
        /// The number of the database.
        database: u32,
        /// The user, if Redis has users.
        username: Option<String>,
        /// The password, if Redis asks for one.
        password: Option<SecretString>,
    },
    /// One of the others that is no socket, reached by TLS.
    Tls {
        /// Which.
        place: Box<Self>,
        /// Certificates of the authorities that are trusted, as PEM. `None`: those that browsers trust.
        authorities: Option<Vec<u8>>,
    },
}

impl RedisAddress {
    /// A client for this address. Connects to nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the address is none, or what is trusted is no certificate.
    pub(crate) fn client(&self) -> Result<Client, StoreError> {
        // A small request is not to wait until the answer to an earlier one on its connection has come.
        let at_once = TcpSettings::default().set_nodelay(true);
        let info = self.connection_info()?.set_tcp_settings(at_once);
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Client::open(info).map_err(fault::of_redis);
        }
        // The library takes the process's; whoever was first has installed the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let authorities = match self {
            Self::Tls { authorities, .. } => authorities.clone(),
            Self::Url(_) | Self::Host { .. } => None,
        };
        let certificates = TlsCertificates { client_tls: None, root_cert: authorities };
        Client::build_with_tls(info, certificates).map_err(fault::of_redis)
    }

    fn connection_info(&self) -> Result<ConnectionInfo, StoreError> {
        match self {
            Self::Url(url) => url.expose_secret().into_connection_info().map_err(fault::of_redis),
            Self::Host { host, port, database, username, password } => {
                let mut login = RedisConnectionInfo::default().set_db(i64::from(*database));
                if let Some(username) = username {
                    login = login.set_username(username);
                }
                if let Some(password) = password {
                    login = login.set_password(password.expose_secret());
                }
                let address = ConnectionAddr::Tcp(host.clone(), *port);
                let info = address.into_connection_info().map_err(fault::of_redis)?;
                Ok(info.set_redis_settings(login))
            }
            Self::Tls { place, .. } => {
                let info = place.connection_info()?;
                match info.addr().clone() {
                    ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                        let (insecure, tls_params) = (false, None);
                        let by_tls = ConnectionAddr::TcpTls { host, port, insecure, tls_params };
                        Ok(info.set_addr(by_tls))
                    }
                    ConnectionAddr::Unix(_) | _ => Err(fault::no_tls()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_makes_a_request_wait_for_another() {
        let url = RedisAddress::Url("redis://localhost:6379/1".into());
        let place = Box::new(RedisAddress::Url("redis://localhost:6379/1".into()));
        let host = RedisAddress::Host {
            host: "localhost".to_owned(),
            port: 6379,
            database: 0,
            username: None,
            password: None,
        };
        for address in [url, host, RedisAddress::Tls { place, authorities: None }] {
            let client = address.client().unwrap();
            assert!(client.get_connection_info().tcp_settings().nodelay());
        }
    }
}
