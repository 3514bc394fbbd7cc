//! Which addresses of a proxy's name are used: some proxies have an IPv6 address where nobody answers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

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

/// The system's resolver, its answers sieved.
#[derive(Clone)]
pub(crate) struct FamilyResolver {
    system: GaiResolver,
    names: ProxyNames,
}

impl FamilyResolver {
    pub(crate) fn new(names: ProxyNames) -> Self {
        Self { system: GaiResolver::new(), names }
    }
}

impl Service<Name> for FamilyResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Service::poll_ready(&mut self.system, cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (looked_up, names) = (Service::call(&mut self.system, name), self.names);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> =
                looked_up.await?.filter(|address| names.take(address)).collect();
            if addresses.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "the name has no address of the kind that is to be used",
                ));
            }
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_addresses_of_the_right_kind_are_used() {
        assert!(ProxyNames::Ipv4.take(&"127.0.0.1:1".parse().unwrap()));
        assert!(!ProxyNames::Ipv4.take(&"[::1]:1".parse().unwrap()));
        assert!(ProxyNames::Any.take(&"[::1]:1".parse().unwrap()));
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut resolver = FamilyResolver::new(ProxyNames::Ipv4);
        let found: Vec<SocketAddr> = resolver.call(name("localhost")).await.unwrap().collect();
        assert!(!found.is_empty() && found.iter().all(SocketAddr::is_ipv4), "{found:?}");
        assert!(resolver.call(name("ip6-loopback.invalid")).await.is_err());
    }
}
