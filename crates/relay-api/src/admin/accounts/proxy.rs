//! A proxy in front of an account, as an operator sends it.

use relay_domain::ProxyScheme;
use relay_engine::operator::{NewProxy, NewProxyAuth};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::error::ApiError;
use crate::admin::extract::{optional_secret, secret};

/// A proxy in front of an account. The account is never reached without it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyRecord {
    /// `http`, `https` or `socks5`. v1's name for it, `type`, is taken too.
    #[serde(alias = "type")]
    #[schema(value_type = String)]
    protocol: ProxyScheme,
    host: String,
    #[schema(minimum = 1)]
    port: u16,
    auth: Option<ProxyAuthRecord>,
    /// v1's place for `auth.username`.
    username: Option<String>,
    /// v1's place for `auth.password`.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
}

/// What a proxy asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyAuthRecord {
    username: String,
    /// It is never shown again. Empty or left out in a change: the one that this user had before.
    #[serde(default, deserialize_with = "secret")]
    #[schema(value_type = Option<String>, format = Password)]
    password: SecretString,
}

impl ProxyRecord {
    /// The proxy in the engine's words.
    pub(super) fn into_new_proxy(self) -> Result<NewProxy, ApiError> {
        let flat = match (self.username, self.password) {
            (None, None) => None,
            (username, password) => Some(ProxyAuthRecord {
                username: username.unwrap_or_default(),
                password: password.unwrap_or_default(),
            }),
        };
        if flat.is_some() && self.auth.is_some() {
            let why = "must name its user in auth or beside its host, not in both";
            return Err(ApiError::Invalid { field: "proxy", why });
        }
        let auth = self.auth.or(flat);
        let auth =
            auth.map(|ProxyAuthRecord { username, password }| NewProxyAuth { username, password });
        Ok(NewProxy { scheme: self.protocol, host: self.host, port: self.port, auth })
    }
}
