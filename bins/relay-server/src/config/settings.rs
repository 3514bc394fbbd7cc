//! Every setting there is: its place in `relay.toml`, its environment variable, its effective value.

use super::{Config, Sections};

/// One setting.
pub(crate) struct Setting {
    /// Section and name, as in `relay.toml`.
    pub(crate) path: &'static str,
    /// The environment variable.
    pub(crate) variable: &'static str,
    pub(super) shape: Shape,
    show: fn(&Config) -> Shown,
}

/// What the text of a variable stands for.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Number,
    /// On if it is `true` and nothing else, as v1 reads it.
    Switch,
    Text,
}

/// An effective value, fit to be shown.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    /// As it is.
    Value(String),
    /// It is given, and secret.
    Secret,
    /// It is not given, and there is no default.
    Unset,
}

impl Setting {
    /// The effective value in `config`.
    pub(crate) fn show(&self, config: &Config) -> Shown {
        (self.show)(config)
    }
}

/// Every setting, by section.
pub(crate) const SETTINGS: &[Setting] = &[
    text("server.host", "HOST", |c| value(&server(c).host)),
    number("server.port", "PORT", |c| value(&server(c).port)),
    number("server.workers", "RELAY_WORKERS", |c| value(&server(c).workers())),
    number("server.max_body_mb", "REQUEST_MAX_SIZE_MB", |c| {
        value(&(server(c).max_body_bytes() / (1024 * 1024)))
    }),
    number("server.shutdown_seconds", "RELAY_SHUTDOWN_SECONDS", |c| {
        value(&server(c).drain().as_secs())
    }),
    text("store.kind", "RELAY_STORE", |c| value(&c.store_kind())),
    text("store.data_dir", "RELAY_DATA_DIR", |c| value(&c.sections.store.data_dir.display())),
    number("store.records", "RELAY_RECORDS", |c| value(&c.sections.store.records())),
    number("store.timezone_offset", "TIMEZONE_OFFSET", |c| {
        value(&(f64::from(c.sections.store.calendar.offset_minutes()) / 60.0))
    }),
    text("store.seal", "RELAY_SEAL", |c| value(&c.seal())),
    text("redis.url", "RELAY_REDIS_URL", |c| secret(c.sections.redis.url.as_ref())),
    text("redis.host", "REDIS_HOST", |c| optional(c.sections.redis.host.as_ref())),
    number("redis.port", "REDIS_PORT", |c| optional(c.sections.redis.port.as_ref())),
    text("redis.password", "REDIS_PASSWORD", |c| secret(c.sections.redis.password.as_ref())),
    number("redis.db", "REDIS_DB", |c| optional(c.sections.redis.db.as_ref())),
    switch("redis.tls", "REDIS_ENABLE_TLS", |c| value(&c.sections.redis.tls)),
    text("secrets.jwt_secret", "JWT_SECRET", |c| secret(c.sections.secrets.jwt_secret.as_ref())),
    text("secrets.encryption_key", "ENCRYPTION_KEY", |c| {
        secret(c.sections.secrets.encryption_key.as_ref())
    }),
    text("admin.username", "ADMIN_USERNAME", |c| optional(c.sections.admin.username.as_ref())),
    text("admin.password", "ADMIN_PASSWORD", |c| secret(c.sections.admin.password.as_ref())),
    number("admin.session_timeout_ms", "ADMIN_SESSION_TIMEOUT", |c| {
        value(&c.sections.admin.session_timeout().as_millis())
    }),
    text("keys.prefix", "API_KEY_PREFIX", |c| value(&c.sections.keys.prefix)),
    text("log.level", "LOG_LEVEL", |c| value(&c.sections.log.level)),
    text("log.format", "RELAY_LOG_FORMAT", |c| value(&c.sections.log.format)),
    number("upstream.max_attempts", "RELAY_MAX_ATTEMPTS", |c| {
        value(&c.sections.upstream.max_attempts)
    }),
    number("upstream.head_timeout_seconds", "RELAY_HEAD_TIMEOUT_SECONDS", |c| {
        value(&c.sections.upstream.head_timeout_seconds)
    }),
    number("upstream.idle_timeout_seconds", "RELAY_IDLE_TIMEOUT_SECONDS", |c| {
        value(&c.sections.upstream.idle_timeout_seconds)
    }),
    number("upstream.keep_alive_seconds", "RELAY_KEEP_ALIVE_SECONDS", |c| {
        value(&c.sections.upstream.keep_alive_seconds)
    }),
    number("upstream.lease_seconds", "RELAY_LEASE_SECONDS", |c| {
        value(&c.sections.upstream.lease_seconds)
    }),
];

const fn text(path: &'static str, variable: &'static str, show: fn(&Config) -> Shown) -> Setting {
    Setting { path, variable, shape: Shape::Text, show }
}

const fn number(path: &'static str, variable: &'static str, show: fn(&Config) -> Shown) -> Setting {
    Setting { path, variable, shape: Shape::Number, show }
}

const fn switch(path: &'static str, variable: &'static str, show: fn(&Config) -> Shown) -> Setting {
    Setting { path, variable, shape: Shape::Switch, show }
}

fn server(config: &Config) -> &super::ServerSection {
    let Sections { server, .. } = &config.sections;
    server
}

fn value(value: &(impl ToString + ?Sized)) -> Shown {
    Shown::Value(value.to_string())
}

fn optional(given: Option<&impl ToString>) -> Shown {
    given.map_or(Shown::Unset, value)
}

fn secret<T>(given: Option<&T>) -> Shown {
    given.map_or(Shown::Unset, |_| Shown::Secret)
}
