//! The system's resolver of names, its answers sieved: what is checked are the very addresses that are
//! connected to.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

/// Which of a name's addresses are used.
pub(crate) trait Sieve: Copy + Send + 'static {
    /// Those that are used.
    ///
    /// # Errors
    ///
    /// Says why none is.
    fn sieve(self, addresses: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver, its answers sieved.
#[derive(Clone)]
pub(crate) struct SievedResolver<S> {
    system: GaiResolver,
    sieve: S,
}

impl<S> SievedResolver<S> {
    pub(crate) fn new(sieve: S) -> Self {
        Self { system: GaiResolver::new(), sieve }
    }
}

impl<S: Sieve> Service<Name> for SievedResolver<S> {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Service::poll_ready(&mut self.system, cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (looked_up, sieve) = (Service::call(&mut self.system, name), self.sieve);
        Box::pin(async move { Ok(sieve.sieve(looked_up.await?.collect())?.into_iter()) })
    }
}
