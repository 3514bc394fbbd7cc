//! Every setting there is: its place in `relay.toml`, its environment variable, its effective value.

use relay_domain::Calendar;

use super::pricing::shown;
use super::shape::Shape;
use super::{Config, Sections};

/// One setting.
pub(crate) struct Setting {
    /// Section and name, as in `relay.toml`.
    pub(crate) path: &'static str,
    /// The environment variable.
    pub(crate) variable: &'static str,
    shape: Shape,
    /// Other variables for it, the first before the second; `variable` before them all.
    also: &'static [(&'static str, Shape)],
    /// What v1 took a 0 for, if for something else.
    pub(super) zero_was: Option<&'static str>,
    show: fn(&Config) -> Shown,
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

    /// Every variable for it, the one that wins first.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, Shape)> + use<> {
        std::iter::once((self.variable, self.shape)).chain(self.also.iter().copied())
    }

    /// Whether the variable `name` is one for it.
    pub(super) fn reads(&self, name: &str) -> bool {
        self.variables().any(|(variable, _)| variable == name)
    }

    const fn or(self, also: &'static [(&'static str, Shape)]) -> Self {
        Self { also, ..self }
    }

    const fn zero_was(self, what: &'static str) -> Self {
        Self { zero_was: Some(what), ..self }
    }
}

/// Every setting, by section.
pub(crate) const SETTINGS: &[Setting] = &[
    text("server.host", "HOST", |c| value(&server(c).host)),
    number("server.port", "PORT", |c| value(&server(c).port)).zero_was("3000"),
    number("server.workers", "RELAY_WORKERS", |c| value(&server(c).workers())),
    with_shape("server.max_body_mb", "REQUEST_MAX_SIZE_MB", Shape::NumberUnlessZero, |c| {
        value(&(server(c).max_body_bytes() / (1024 * 1024)))
    }),
    number("server.shutdown_seconds", "RELAY_SHUTDOWN_SECONDS", |c| {
        value(&server(c).drain().as_secs())
    }),
    with_shape("server.trusted_proxies", "TRUST_PROXY", Shape::NumberOrSwitch, |c| {
        value(&server(c).trusted_proxies)
    }),
    text("server.environment", "NODE_ENV", |c| optional(server(c).environment.as_ref())),
    text("store.compat", "RELAY_COMPAT", |c| optional(c.compat().as_ref())),
    text("store.kind", "RELAY_STORE", |c| value(&c.store_kind())),
    text("store.data_dir", "RELAY_DATA_DIR", |c| value(&c.sections.store.data_dir.display())),
    number("store.records", "RELAY_RECORDS", |c| value(&c.sections.store.records())),
    number("store.record_days", "RELAY_RECORD_DAYS", |c| {
        value(&(c.sections.store.record_lifetime().as_secs() / 86_400))
    }),
    number("store.timezone_offset", "TIMEZONE_OFFSET", |c| {
        value(&(f64::from(c.sections.store.offset.standard_offset_minutes()) / 60.0))
    })
    .zero_was("8, as v2 did; RELAY_COMPAT=v1 or v2 keeps that"),
    text("store.timezone", "RELAY_TIMEZONE", |c| {
        optional(c.sections.store.timezone.and_then(Calendar::zone).as_ref())
    }),
    text("store.seal", "RELAY_SEAL", |c| value(&c.seal())),
    switch("store.accept_empty", "RELAY_ACCEPT_EMPTY_STORE", |c| {
        value(&c.sections.store.accept_empty)
    }),
    text("redis.url", "RELAY_REDIS_URL", |c| secret(c.sections.redis.url.as_ref())),
    text("redis.host", "REDIS_HOST", |c| optional(c.sections.redis.host.as_ref())),
    number("redis.port", "REDIS_PORT", |c| optional(c.sections.redis.port.as_ref())),
    text("redis.password", "REDIS_PASSWORD", |c| secret(c.sections.redis.password.as_ref())),
    number("redis.db", "REDIS_DB", |c| match c.sections.redis.url {
        Some(_) => Shown::Unset,
        None => value(&c.redis_database()),
    }),
    switch("redis.tls", "REDIS_ENABLE_TLS", |c| value(&c.sections.redis.uses_tls()))
        .or(&[("REDIS_TLS", Shape::Switch)]),
    text("redis.tls_ca_file", "RELAY_REDIS_TLS_CA", |c| {
        optional(c.sections.redis.tls_ca_file.as_ref().map(|path| path.display()).as_ref())
    }),
    switch("redis.billing_events", "BILLING_EVENTS_ENABLED", |c| {
        value(&c.sections.redis.billing_events())
    }),
    text("secrets.jwt_secret", "JWT_SECRET", |c| secret(c.sections.secrets.jwt_secret.as_ref()))
        .or(&[("V2_JWT_SECRET", Shape::Text)]),
    text("secrets.encryption_key", "ENCRYPTION_KEY", |c| {
        secret(c.sections.secrets.encryption_key.as_ref())
    })
    .or(&[("V2_ENCRYPTION_KEY", Shape::Text)]),
    text("admin.username", "ADMIN_USERNAME", |c| optional(c.sections.admin.username.as_ref())),
    text("admin.password", "ADMIN_PASSWORD", |c| secret(c.sections.admin.password.as_ref())),
    with_shape("admin.session_timeout_ms", "ADMIN_SESSION_TIMEOUT", Shape::NumberUnlessZero, |c| {
        value(&c.sections.admin.session_timeout().as_millis())
    }),
    text("keys.prefix", "API_KEY_PREFIX", |c| value(&c.sections.keys.prefix)),
    text("log.level", "LOG_LEVEL", |c| value(&c.sections.log.level))
        .or(&[("V2_LOG_LEVEL", Shape::Text)]),
    text("log.format", "RELAY_LOG_FORMAT", |c| value(&c.sections.log.format))
        .or(&[("LOG_PRETTY", Shape::PrettyOrJson)]),
    number("upstream.max_attempts", "RELAY_MAX_ATTEMPTS", |c| {
        value(&c.sections.upstream.max_attempts)
    }),
    number("upstream.head_timeout_seconds", "RELAY_HEAD_TIMEOUT_SECONDS", |c| {
        value(&c.sections.upstream.head_timeout_seconds)
    })
    .or(&[("REQUEST_TIMEOUT", Shape::MillisForSecondsUnlessZero)]),
    number("upstream.idle_timeout_seconds", "RELAY_IDLE_TIMEOUT_SECONDS", |c| {
        value(&c.sections.upstream.idle_timeout_seconds)
    }),
    number("upstream.keep_alive_seconds", "RELAY_KEEP_ALIVE_SECONDS", |c| {
        value(&c.sections.upstream.keep_alive_seconds)
    }),
    number("upstream.lease_seconds", "RELAY_LEASE_SECONDS", |c| {
        value(&c.sections.upstream.lease_seconds)
    }),
    number("upstream.pool_idle_seconds", "RELAY_POOL_IDLE_SECONDS", |c| {
        value(&c.sections.upstream.pool_idle_seconds)
    })
    .or(&[("HTTPS_FREE_SOCKET_TIMEOUT", Shape::MillisForSeconds)])
    .zero_was("30000"),
    number("upstream.pool_max_idle", "HTTPS_MAX_FREE_SOCKETS", |c| {
        optional(c.sections.upstream.pool_max_idle.as_ref())
    })
    .zero_was("2048"),
    switch("upstream.proxy_use_ipv4", "PROXY_USE_IPV4", |c| {
        value(&c.sections.upstream.proxy_use_ipv4)
    }),
    text("upstream.on_disconnect", "RELAY_ON_DISCONNECT", |c| {
        value(&c.sections.upstream.on_disconnect)
    }),
    number("upstream.drain_seconds", "RELAY_DRAIN_SECONDS", |c| {
        value(&c.sections.upstream.drain_seconds)
    }),
    number("upstream.drain_mb", "RELAY_DRAIN_MB", |c| value(&c.sections.upstream.drain_mb)),
    number("upstream.drain_answers", "RELAY_DRAIN_ANSWERS", |c| {
        value(&c.sections.upstream.drain_answers)
    }),
    number("sticky.lifetime_hours", "STICKY_SESSION_TTL_HOURS", |c| {
        value(&(c.sections.sticky.lifetime().as_secs_f64() / 3_600.0))
    })
    .zero_was("1"),
    number("sticky.renewal_minutes", "STICKY_SESSION_RENEWAL_THRESHOLD_MINUTES", |c| {
        value(&(c.sections.sticky.renewal().as_secs() / 60))
    }),
    number("health.overloaded_seconds", "UPSTREAM_ERROR_OVERLOAD_TTL_SECONDS", |c| {
        optional(c.sections.health.overloaded_seconds.as_ref())
    })
    .or(&[("CLAUDE_OVERLOAD_HANDLING_MINUTES", Shape::MinutesForSecondsUnlessZero)])
    .zero_was("600"),
    number("health.unavailable_seconds", "UPSTREAM_ERROR_503_TTL_SECONDS", |c| {
        optional(c.sections.health.unavailable_seconds.as_ref())
    })
    .zero_was("60"),
    number("health.failing_seconds", "UPSTREAM_ERROR_5XX_TTL_SECONDS", |c| {
        optional(c.sections.health.failing_seconds.as_ref())
    })
    .zero_was("300"),
    number("health.timing_out_seconds", "UPSTREAM_ERROR_TIMEOUT_TTL_SECONDS", |c| {
        optional(c.sections.health.timing_out_seconds.as_ref())
    })
    .zero_was("300"),
    number("health.refused_seconds", "UPSTREAM_ERROR_AUTH_TTL_SECONDS", |c| {
        optional(c.sections.health.refused_seconds.as_ref())
    })
    .zero_was("1800"),
    number("health.disabled_minutes", "CLAUDE_CONSOLE_BLOCKED_HANDLING_MINUTES", |c| {
        value(&c.sections.health.disabled_minutes)
    }),
    number("health.longest_retry_after_seconds", "UPSTREAM_ERROR_MAX_CUSTOM_TTL_SECONDS", |c| {
        optional(c.sections.health.longest_retry_after_seconds.as_ref())
    })
    .zero_was("1800"),
    switch("cors.enabled", "ENABLE_CORS", |c| value(&!c.sections.cors.allowed().is_empty())),
    text("cors.origins", "RELAY_CORS_ORIGINS", |c| match c.sections.cors.allowed() {
        [] => Shown::Unset,
        origins => Shown::Value(origins.join(",")),
    }),
    text("pricing.file", "RELAY_PRICES_FILE", |c| {
        optional(c.sections.pricing.file.as_ref().map(|path| path.display()).as_ref())
    }),
    text("pricing.url", "RELAY_PRICES_URL", |c| url(c.sections.pricing.url.as_ref())),
    text("pricing.sha256_url", "RELAY_PRICES_SHA256_URL", |c| {
        url(c.sections.pricing.sha256_url.as_ref())
    }),
    number("pricing.refresh_minutes", "RELAY_PRICES_REFRESH_MINUTES", |c| {
        value(&c.sections.pricing.refresh_minutes)
    }),
    text("pricing.mirror_json_url", "PRICE_MIRROR_JSON_URL", |c| {
        url(c.sections.pricing.mirror_json_url.as_ref())
    }),
    text("pricing.mirror_hash_url", "PRICE_MIRROR_HASH_URL", |c| {
        url(c.sections.pricing.mirror_hash_url.as_ref())
    }),
    text("pricing.mirror_base_url", "PRICE_MIRROR_BASE_URL", |c| {
        url(c.sections.pricing.mirror_base_url.as_ref())
    }),
    text("pricing.mirror_filename", "PRICE_MIRROR_FILENAME", |c| {
        optional(c.sections.pricing.mirror_filename.as_ref())
    }),
    text("webhooks.urls", "RELAY_WEBHOOK_URLS", |c| match c.sections.webhooks.shown() {
        urls if urls.is_empty() => Shown::Unset,
        urls => Shown::Value(urls.join(",")),
    }),
    text("webhooks.secret", "RELAY_WEBHOOK_SECRET", |c| {
        secret(c.sections.webhooks.secret.as_ref())
    }),
    switch("webhooks.allow_private", "RELAY_WEBHOOK_ALLOW_PRIVATE", |c| {
        value(&c.sections.webhooks.allow_private)
    }),
    text("metrics.listen", "RELAY_METRICS_LISTEN", |c| {
        optional(c.sections.metrics.listen().as_ref())
    }),
];

const fn text(path: &'static str, variable: &'static str, show: fn(&Config) -> Shown) -> Setting {
    with_shape(path, variable, Shape::Text, show)
}

const fn number(path: &'static str, variable: &'static str, show: fn(&Config) -> Shown) -> Setting {
    with_shape(path, variable, Shape::Number, show)
}

const fn switch(path: &'static str, variable: &'static str, show: fn(&Config) -> Shown) -> Setting {
    with_shape(path, variable, Shape::Switch, show)
}

const fn with_shape(
    path: &'static str,
    variable: &'static str,
    shape: Shape,
    show: fn(&Config) -> Shown,
) -> Setting {
    Setting { path, variable, shape, also: &[], zero_was: None, show }
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

fn url(given: Option<&String>) -> Shown {
    given.map_or(Shown::Unset, |url| Shown::Value(shown(url)))
}

fn secret<T>(given: Option<&T>) -> Shown {
    given.map_or(Shown::Unset, |_| Shown::Secret)
}
