//! `[redis]`: which Redis, if any. Either as one URL or in the parts that v1 and v2 know.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::Objection;
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
    /// `None` is taken for 0. v2 used 1 by default, so Relay says which one it uses.
    pub(crate) db: Option<u8>,
    /// v1's and v2's switch. Refused rather than ignored: what should be encrypted must not go in clear.
    pub(crate) tls: bool,
}

impl RedisSection {
    pub(super) fn validate(&self) -> Result<(), Objection> {
        if self.tls {
            return Err(Objection::new(
                "redis.tls",
                "this version of Relay does not speak TLS to Redis",
            ));
        }
        let Some(url) = &self.url else { return Ok(()) };
        let url = url.expose_secret();
        if !["redis://", "redis+unix://", "unix://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Objection::new("redis.url", "expected redis://[:password@]host:port/db"));
        }
        let also = [
            (self.host.is_some(), "redis.host"),
            (self.port.is_some(), "redis.port"),
            (self.password.is_some(), "redis.password"),
            (self.db.is_some(), "redis.db"),
        ];
        match also.into_iter().find(|(given, _)| *given) {
            Some((_, path)) => {
                Err(Objection::new(path, "redis.url is set too; set one or the other"))
            }
            None => Ok(()),
        }
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
