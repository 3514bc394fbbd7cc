//! `[redis]`: which Redis, if any. Either as one URL or in the parts that v1 and v2 know.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::Objections;
use super::security::secret;

/// Which Redis, if any.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RedisSection {
    /// May carry a password.
    #[serde(deserialize_with = "secret")]
    pub(crate) url: Option<SecretString>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    #[serde(deserialize_with = "secret")]
    pub(crate) password: Option<SecretString>,
    /// `None`: v2's, 1, unless another predecessor's defaults hold. Relay says which one it uses.
    pub(crate) db: Option<u8>,
    /// Whether to speak TLS to it; `None`: if the URL says so.
    tls: Option<bool>,
    /// Certificates of an authority of the operator's own, as PEM, instead of those that everybody trusts.
    pub(crate) tls_ca_file: Option<PathBuf>,
    /// Whether what is charged is also told in v1's stream; `None`: it is.
    billing_events: Option<bool>,
}

impl RedisSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        if let Some(path) = &self.tls_ca_file {
            if !self.uses_tls() {
                objections.add(
                    "redis.tls_ca_file",
                    "it is for TLS; set redis.tls, or a URL with rediss://",
                );
            } else if let Err(error) = std::fs::read(path) {
                objections.add("redis.tls_ca_file", format!("it cannot be read: {error}"));
            }
        }
        let Some(url) = &self.url else { return };
        let url = url.expose_secret();
        let schemes = ["redis://", "rediss://", "redis+unix://", "unix://"];
        if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
            objections.add("redis.url", "expected redis://[:password@]host:port/db");
        }
        let scheme_is =
            |scheme: &str| url.split_once("://").is_some_and(|(found, _)| found == scheme);
        match self.tls {
            Some(true) if !scheme_is("rediss") && !scheme_is("redis") => {
                objections.add("redis.tls", "redis.url is a socket, which has no TLS");
            }
            Some(false) if scheme_is("rediss") => {
                objections.add("redis.tls", "redis.url says rediss://; set one or the other");
            }
            Some(_) | None => {}
        }
        let also = [
            (self.host.is_some(), "redis.host"),
            (self.port.is_some(), "redis.port"),
            (self.password.is_some(), "redis.password"),
            (self.db.is_some(), "redis.db"),
        ];
        for (_, path) in also.into_iter().filter(|(given, _)| *given) {
            objections.add(path, "redis.url is set too; set one or the other");
        }
    }

    /// Whether to speak TLS to it.
    pub(crate) fn uses_tls(&self) -> bool {
        let by_url =
            || self.url.as_ref().is_some_and(|url| url.expose_secret().starts_with("rediss://"));
        self.tls.unwrap_or_else(by_url)
    }

    /// Whether what is charged is also told in v1's stream of billing events.
    pub(crate) fn billing_events(&self) -> bool {
        self.billing_events.unwrap_or(true)
    }

    /// Where the URL leads, without what may be secret in it.
    pub(crate) fn place_of_url(&self) -> String {
        let url = self.url.as_ref().map_or("", |url| url.expose_secret());
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        place.split(['?', '#']).next().unwrap_or_default().to_owned()
    }

    /// Whether a Redis is named at all.
    pub(crate) fn is_named(&self) -> bool {
        self.url.is_some() || self.host.is_some()
    }
}
