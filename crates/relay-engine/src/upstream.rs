//! Connections to upstreams: direct, or through an account's proxy and then never otherwise.
//!
//! One HTTP client for the direct accounts and one for each proxy, each with a pool of its own. A set
//! of clients belongs to one runtime, so that a request and its upstream connection are served by the
//! same thread.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use relay_domain::ProxyScheme;
use secrecy::{ExposeSecret as _, SecretString};

use crate::address_family::ProxyNames;
use crate::connect_timeout::TimedConnector;
use crate::sieved_resolver::SievedResolver;
use crate::upload::Upload;
use crate::{EngineConfig, EngineError};

/// A proxy, ready to be used: its password is opened, and stays in memory.
#[derive(Clone, Debug)]
pub(crate) struct ProxyRoute {
    pub(crate) scheme: ProxyScheme,
    /// `host:port`.
    pub(crate) authority: String,
    /// User name and password.
    pub(crate) auth: Option<(String, SecretString)>,
}

impl ProxyRoute {
    /// What tells routes apart, but for the password.
    fn name(&self) -> String {
        let user = self.auth.as_ref().map_or("", |(name, _)| name);
        format!("{:?} {user}@{}", self.scheme, self.authority)
    }

    /// The proxy's address.
    pub(crate) fn address(&self) -> Result<Uri, EngineError> {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Https => "https",
            ProxyScheme::Socks5 => "socks5",
        };
        let address = Uri::builder().scheme(scheme).authority(self.authority.as_str());
        address.path_and_query("/").build().map_err(|_| EngineError::ProxyUnusable)
    }

    /// Whether it is the same route, with the same password.
    fn is(&self, other: &Self) -> bool {
        let password = |route: &Self| {
            route.auth.as_ref().map(|(_, password)| password.expose_secret().to_owned())
        };
        self.name() == other.name() && password(self) == password(other)
    }
}

type Https<C> = TimedConnector<HttpsConnector<C>>;
type HttpClient<C> = Client<Https<C>, Upload>;

/// TCP to a proxy.
type ProxyTcp = HttpConnector<SievedResolver<ProxyNames>>;

/// A client of one kind of route. All kinds answer with the same future.
#[derive(Clone)]
enum RoutedClient {
    Direct(HttpClient<HttpConnector>),
    Tunnel(HttpClient<Tunnel<ProxyTcp>>),
    TlsTunnel(HttpClient<Tunnel<HttpsConnector<ProxyTcp>>>),
    Socks(HttpClient<SocksV5<ProxyTcp>>),
}

impl RoutedClient {
    fn send(&self, request: Request<Upload>) -> ResponseFuture {
        match self {
            Self::Direct(client) => client.request(request),
            Self::Tunnel(client) => client.request(request),
            Self::TlsTunnel(client) => client.request(request),
            Self::Socks(client) => client.request(request),
        }
    }
}

/// The connections of one runtime.
pub(crate) struct Upstream {
    config: Arc<EngineConfig>,
    direct: RoutedClient,
    proxied: RwLock<HashMap<String, (ProxyRoute, RoutedClient)>>,
}

impl Upstream {
    pub(crate) fn new(config: Arc<EngineConfig>) -> Self {
        let direct = RoutedClient::Direct(build(&config, tcp(GaiResolver::new())));
        Self { config, direct, proxied: RwLock::default() }
    }

    /// Sends a request: directly, or through `proxy` and never otherwise.
    pub(crate) fn send(
        &self,
        proxy: Option<&ProxyRoute>,
        request: Request<Upload>,
    ) -> Result<ResponseFuture, EngineError> {
        match proxy {
            None => Ok(self.direct.send(request)),
            Some(route) => Ok(self.through(route)?.send(request)),
        }
    }

    fn through(&self, route: &ProxyRoute) -> Result<RoutedClient, EngineError> {
        let name = route.name();
        let known = |clients: &HashMap<String, (ProxyRoute, RoutedClient)>| {
            let found = clients.get(&name).filter(|(known, _)| known.is(route));
            found.map(|(_, client)| client.clone())
        };
        if let Some(client) = self.proxied.read().ok().and_then(|clients| known(&clients)) {
            return Ok(client);
        }
        let client = proxied(&self.config, route)?;
        if let Ok(mut clients) = self.proxied.write() {
            clients.insert(name, (route.clone(), client.clone()));
        }
        Ok(client)
    }
}

fn tcp<R>(resolver: R) -> HttpConnector<R> {
    with_options(HttpConnector::new_with_resolver(resolver))
}

/// Sets what every TCP connection to an upstream or its proxy has.
pub(crate) fn with_options<R>(mut tcp: HttpConnector<R>) -> HttpConnector<R> {
    tcp.set_nodelay(true);
    // The TLS connector around it takes both schemes.
    tcp.enforce_http(false);
    tcp
}

/// TLS over `inner`, where the address asks for it.
pub(crate) fn tls<C>(inner: C) -> HttpsConnector<C> {
    HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(inner)
}

fn build<C>(config: &EngineConfig, connector: C) -> HttpClient<C>
where
    Https<C>: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.pool_idle_timeout)
        .pool_max_idle_per_host(config.pool_max_idle)
        // A pooled connection that the peer closed before a byte was sent: safe to send again.
        .retry_canceled_requests(true)
        .build(TimedConnector::new(tls(connector), config.connect_timeout))
}

fn proxied(config: &EngineConfig, route: &ProxyRoute) -> Result<RoutedClient, EngineError> {
    let proxy = route.address()?;
    let tcp = tcp(SievedResolver::new(config.proxy_names));
    match route.scheme {
        ProxyScheme::Http => Ok(RoutedClient::Tunnel(build(config, tunnel(proxy, tcp, route)?))),
        ProxyScheme::Https => {
            Ok(RoutedClient::TlsTunnel(build(config, tunnel(proxy, tls(tcp), route)?)))
        }
        ProxyScheme::Socks5 => {
            let socks = socks(proxy, tcp, route);
            Ok(RoutedClient::Socks(build(config, socks)))
        }
    }
}

/// A way through the SOCKS proxy of `route`. Names are resolved by the proxy: a local look-up would tell
/// where the traffic goes.
pub(crate) fn socks<C>(proxy: Uri, connector: C, route: &ProxyRoute) -> SocksV5<C> {
    let socks = SocksV5::new(proxy, connector).local_dns(false);
    match &route.auth {
        Some((name, password)) => {
            socks.with_auth(name.clone(), password.expose_secret().to_owned())
        }
        None => socks,
    }
}

/// A way through the HTTP proxy of `route`.
pub(crate) fn tunnel<C>(
    proxy: Uri,
    connector: C,
    route: &ProxyRoute,
) -> Result<Tunnel<C>, EngineError> {
    let tunnel = Tunnel::new(proxy, connector);
    let Some((name, password)) = &route.auth else { return Ok(tunnel) };
    let credentials = basic_auth(name, password.expose_secret());
    let mut value = HeaderValue::try_from(credentials).map_err(|_| EngineError::ProxyUnusable)?;
    value.set_sensitive(true);
    Ok(tunnel.with_auth(value))
}

fn basic_auth(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}
