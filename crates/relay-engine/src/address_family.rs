//! Which addresses of a proxy's name are used: some proxies have an IPv6 address where nobody answers.

use std::io;
use std::net::SocketAddr;

use crate::sieved_resolver::Sieve;

/// Which addresses of a proxy's name are used. An address in a name's place is used as it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProxyNames {
    /// Those of IPv4.
    #[default]
    Ipv4,
    /// All.
    Any,
}

impl ProxyNames {
    fn take(self, address: &SocketAddr) -> bool {
        match self {
            Self::Ipv4 => address.is_ipv4(),
            Self::Any => true,
        }
    }
}

impl Sieve for ProxyNames {
    fn sieve(self, mut addresses: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        addresses.retain(|address| self.take(address));
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address of the kind that is to be used",
            ));
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::client::legacy::connect::dns::Name;
    use tower::Service as _;

    use super::*;
    use crate::sieved_resolver::SievedResolver;

    #[tokio::test]
    async fn only_addresses_of_the_right_kind_are_used() {
        assert!(ProxyNames::Ipv4.take(&"127.0.0.1:1".parse().unwrap()));
        assert!(!ProxyNames::Ipv4.take(&"[::1]:1".parse().unwrap()));
        assert!(ProxyNames::Any.take(&"[::1]:1".parse().unwrap()));
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut resolver = SievedResolver::new(ProxyNames::Ipv4);
        let found: Vec<SocketAddr> = resolver.call(name("localhost")).await.unwrap().collect();
        assert!(!found.is_empty() && found.iter().all(SocketAddr::is_ipv4), "{found:?}");
        assert!(resolver.call(name("ip6-loopback.invalid")).await.is_err());
    }
}
