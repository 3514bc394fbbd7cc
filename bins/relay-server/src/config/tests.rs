//! Sources and their order, and what is refused.

mod predecessors;

use std::fs;

use secrecy::ExposeSecret as _;

use super::settings::Shown;
use super::*;

fn from_environment<const N: usize>(variables: [(&str, &str); N]) -> Result<Config, ConfigError> {
    Config::load(&Environment::from(variables), FileChoice::Ignored)
}

/// Loads a file with this text, below these variables.
fn from_file(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.toml");
    fs::write(&path, text).unwrap();
    let mut environment = Environment::from([(FILE_VARIABLE, path.to_str().unwrap())]);
    for (name, value) in variables {
        environment.set(name, value);
    }
    Config::load(&environment, FileChoice::Usual)
}

fn shown(config: &Config, path: &str) -> Shown {
    SETTINGS.iter().find(|setting| setting.path == path).unwrap().show(config)
}

fn text_of(config: &Config, path: &str) -> String {
    match shown(config, path) {
        Shown::Value(text) => text,
        other @ (Shown::Secret | Shown::Unset) => format!("{other:?}"),
    }
}

#[test]
fn nothing_configured_is_a_configuration() {
    let config = from_environment([]).unwrap();
    let expected = [
        ("server.host", "127.0.0.1"),
        ("server.port", "4000"),
        ("server.max_body_mb", "64"),
        ("server.shutdown_seconds", "600"),
        ("store.kind", "sqlite"),
        ("store.data_dir", "./data"),
        ("store.timezone_offset", "8"),
        ("redis.url", "Unset"),
        ("secrets.jwt_secret", "Unset"),
        ("admin.session_timeout_ms", "86400000"),
        ("keys.prefix", "cr_"),
        ("log.level", "info"),
        ("log.format", "text"),
        ("upstream.max_attempts", "5"),
        ("upstream.lease_seconds", "30"),
        ("upstream.keep_alive_seconds", "15"),
        ("upstream.on_disconnect", "abort"),
    ];
    for (path, value) in expected {
        assert_eq!(text_of(&config, path), value, "{path}");
        assert_eq!(config.origin(path), None, "{path}");
    }
}

#[test]
fn the_environment_beats_the_file_and_the_file_the_defaults() {
    let file = "[server]\nport = 5000\nmax_body_mb = 8\n[log]\nlevel = \"warn\"\n";
    let config = from_file(file, &[("PORT", "6000"), ("LOG_LEVEL", "")]).unwrap();
    let expected = [
        ("server.port", "6000", Some("PORT")),
        ("server.max_body_mb", "8", Some("relay.toml")),
        ("log.level", "warn", Some("relay.toml")),
        ("server.host", "127.0.0.1", None),
    ];
    for (path, value, origin) in expected {
        assert_eq!(text_of(&config, path), value, "{path}");
        let found = config.origin(path);
        assert!(
            found.map_or(origin.is_none(), |found| origin
                .is_some_and(|origin| found.ends_with(origin))),
            "{path} comes from {found:?}, not {origin:?}"
        );
    }
}

/// A value for every variable of a setting, but for those that name a file.
const VALUES: &[(&str, &str)] = &[
    ("HOST", "0.0.0.0"),
    ("PORT", "1"),
    ("RELAY_WORKERS", "7"),
    ("REQUEST_MAX_SIZE_MB", "9"),
    ("RELAY_SHUTDOWN_SECONDS", "11"),
    ("RELAY_STORE", "sqlite"),
    ("RELAY_DATA_DIR", "/srv/relay"),
    ("RELAY_RECORDS", "12"),
    ("RELAY_RECORD_DAYS", "45"),
    ("RELAY_SEAL", "aead"),
    ("BILLING_EVENTS_ENABLED", "false"),
    ("RELAY_METRICS_LISTEN", "127.0.0.1:9464"),
    ("RELAY_ACCEPT_EMPTY_STORE", "true"),
    ("TIMEZONE_OFFSET", "5"),
    ("RELAY_TIMEZONE", "Europe/Berlin"),
    ("REDIS_HOST", "cache"),
    ("REDIS_PORT", "13"),
    ("REDIS_PASSWORD", "p"),
    ("REDIS_DB", "3"),
    ("REDIS_ENABLE_TLS", "true"),
    ("TRUST_PROXY", "2"),
    ("NODE_ENV", "production"),
    ("RELAY_COMPAT", "v1"),
    ("RELAY_POOL_IDLE_SECONDS", "19"),
    ("HTTPS_MAX_FREE_SOCKETS", "20"),
    ("PROXY_USE_IPV4", "false"),
    ("STICKY_SESSION_TTL_HOURS", "21"),
    ("STICKY_SESSION_RENEWAL_THRESHOLD_MINUTES", "22"),
    ("UPSTREAM_ERROR_OVERLOAD_TTL_SECONDS", "23"),
    ("UPSTREAM_ERROR_503_TTL_SECONDS", "24"),
    ("UPSTREAM_ERROR_5XX_TTL_SECONDS", "25"),
    ("UPSTREAM_ERROR_TIMEOUT_TTL_SECONDS", "26"),
    ("UPSTREAM_ERROR_AUTH_TTL_SECONDS", "27"),
    ("CLAUDE_CONSOLE_BLOCKED_HANDLING_MINUTES", "28"),
    ("UPSTREAM_ERROR_MAX_CUSTOM_TTL_SECONDS", "29"),
    ("ENABLE_CORS", "true"),
    ("RELAY_CORS_ORIGINS", "https://a.example,https://b.example:1"),
    ("JWT_SECRET", "00000000000000000000000000000001"),
    ("ENCRYPTION_KEY", "00000000000000000000000000000002"),
    ("ADMIN_USERNAME", "root"),
    ("ADMIN_PASSWORD", "123456789"),
    ("ADMIN_SESSION_TIMEOUT", "60000"),
    ("API_KEY_PREFIX", "sk_"),
    ("LOG_LEVEL", "silly"),
    ("RELAY_LOG_FORMAT", "json"),
    ("RELAY_MAX_ATTEMPTS", "14"),
    ("RELAY_HEAD_TIMEOUT_SECONDS", "15"),
    ("RELAY_IDLE_TIMEOUT_SECONDS", "16"),
    ("RELAY_KEEP_ALIVE_SECONDS", "17"),
    ("RELAY_LEASE_SECONDS", "18"),
    ("RELAY_ON_DISCONNECT", "drain"),
    ("RELAY_DRAIN_SECONDS", "31"),
    ("RELAY_DRAIN_MB", "32"),
    ("RELAY_DRAIN_ANSWERS", "33"),
    ("RELAY_PRICES_URL", "https://a.example/p.json"),
    ("RELAY_PRICES_SHA256_URL", "https://a.example/p.sha256"),
    ("RELAY_PRICES_REFRESH_MINUTES", "30"),
    ("PRICE_MIRROR_JSON_URL", "https://b.example/p.json"),
    ("PRICE_MIRROR_HASH_URL", "https://b.example/p.sha256"),
    ("PRICE_MIRROR_BASE_URL", "https://c.example/prices"),
    ("PRICE_MIRROR_FILENAME", "p.json"),
    ("RELAY_WEBHOOK_URLS", "https://d.example"),
    ("RELAY_WEBHOOK_SECRET", "00000000000000000000000000000003"),
    ("RELAY_WEBHOOK_ALLOW_PRIVATE", "true"),
];

#[test]
fn every_setting_has_a_variable_that_sets_it() {
    let authority = tempfile::NamedTempFile::new().unwrap();
    let authority = authority.path().to_str().unwrap();
    let values: Vec<_> =
        VALUES.iter().copied().chain([("RELAY_REDIS_TLS_CA", authority)]).collect();
    let mut environment = Environment::from([]);
    for (name, value) in &values {
        environment.set(name, value);
    }
    let config = Config::load(&environment, FileChoice::Ignored).unwrap();
    // What is given in another way here.
    let others = ["RELAY_REDIS_URL", "RELAY_PRICES_FILE"];
    for setting in SETTINGS.iter().filter(|setting| !others.contains(&setting.variable)) {
        let (_, given) = values.iter().find(|(name, _)| *name == setting.variable).unwrap();
        let expected = match setting.variable {
            "REDIS_PASSWORD"
            | "JWT_SECRET"
            | "ENCRYPTION_KEY"
            | "ADMIN_PASSWORD"
            | "RELAY_WEBHOOK_SECRET" => Shown::Secret,
            "LOG_LEVEL" => Shown::Value("trace".to_owned()),
            _ => Shown::Value((*given).to_owned()),
        };
        assert_eq!(setting.show(&config), expected, "{}", setting.variable);
        assert_eq!(config.origin(setting.path), Some(setting.variable));
    }
    let secret = config.sections.secrets.encryption_key.as_ref().unwrap();
    assert_eq!(secret.expose_secret(), "00000000000000000000000000000002", "digits stay text");
}

#[test]
fn a_named_redis_is_used_unless_the_operator_decides() {
    let url = ("RELAY_REDIS_URL", "redis://127.0.0.1:6379/0");
    let cases = [
        ("nothing named", from_environment([]), StoreKind::Sqlite),
        ("a URL", from_environment([url]), StoreKind::Redis),
        ("a host", from_environment([("REDIS_HOST", "cache")]), StoreKind::Redis),
        ("a host that is blank", from_environment([("REDIS_HOST", "")]), StoreKind::Sqlite),
        ("a password alone", from_environment([("REDIS_PASSWORD", "p")]), StoreKind::Sqlite),
        ("decided for Redis", from_environment([("RELAY_STORE", "redis")]), StoreKind::Redis),
        (
            "decided against it",
            from_environment([url, ("RELAY_STORE", "sqlite")]),
            StoreKind::Sqlite,
        ),
    ];
    for (name, config, expected) in cases {
        assert_eq!(config.unwrap().store_kind(), expected, "{name}");
    }
}

#[test]
fn log_levels_of_both_predecessors_are_read() {
    let cases = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("http", LogLevel::Info),
        ("verbose", LogLevel::Debug),
        ("debug", LogLevel::Debug),
        ("silly", LogLevel::Trace),
        ("fatal", LogLevel::Error),
        ("trace", LogLevel::Trace),
        ("silent", LogLevel::Off),
        ("INFO", LogLevel::Info),
    ];
    for (name, expected) in cases {
        let config = from_environment([("LOG_LEVEL", name)]).unwrap();
        assert_eq!(config.sections.log.level, expected, "{name}");
    }
}

#[test]
fn time_zones_are_hours_and_zero_is_zero() {
    for (hours, minutes) in [("0", 0), ("8", 480), ("-3.5", -210), ("5.75", 345), ("14", 840)] {
        let config = from_environment([("TIMEZONE_OFFSET", hours)]).unwrap();
        assert_eq!(config.sections.store.calendar().standard_offset_minutes(), minutes, "{hours}");
    }
    let zone = ("RELAY_TIMEZONE", "America/New_York");
    let config = from_environment([("TIMEZONE_OFFSET", "8"), zone]).unwrap();
    assert_eq!(config.sections.store.calendar().zone(), Some("America/New_York"), "it holds");
    let both = "store.timezone (from RELAY_TIMEZONE) and store.timezone_offset (from TIMEZONE_OFFSET) are both set; \
                days are counted by store.timezone";
    assert_eq!(config.notices().doubts().collect::<Vec<_>>(), [both], "and that is said");
    let file = from_file("[store]\ntimezone_offset = 8\n", &[zone]).unwrap();
    assert_eq!(file.notices().doubts().count(), 1, "wherever they stand");
    let zero = from_environment([("TIMEZONE_OFFSET", "0"), zone]).unwrap();
    assert_eq!(zero.notices().doubts().collect::<Vec<_>>(), [both], "the offset means nothing");
    assert_eq!(from_environment([zone]).unwrap().notices().doubts().count(), 0, "one alone");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let cases = [
        ("PORT", "http", "server.port"),
        ("PORT", "65536", "server.port"),
        ("HOST", "relay.example", "server.host"),
        ("RELAY_WORKERS", "0", "server.workers"),
        ("REQUEST_MAX_SIZE_MB", "-1", "server.max_body_mb"),
        ("RELAY_HEAD_TIMEOUT_SECONDS", "0", "upstream.head_timeout_seconds"),
        ("RELAY_STORE", "postgres", "store.kind"),
        ("RELAY_RECORDS", "0", "store.records"),
        ("RELAY_RECORD_DAYS", "0", "store.record_days"),
        ("TIMEZONE_OFFSET", "15", "store.timezone_offset"),
        ("TIMEZONE_OFFSET", "0.001", "store.timezone_offset"),
        ("RELAY_TIMEZONE", "Berlin", "store.timezone"),
        ("TIMEZONE_OFFSET", "Asia/Shanghai", "store.timezone_offset"),
        ("RELAY_REDIS_URL", "localhost:6379", "redis.url"),
        ("REDIS_ENABLE_TLS", "perhaps", "redis.tls"),
        ("RELAY_REDIS_TLS_CA", "/nowhere/ca.pem", "redis.tls_ca_file"),
        ("TRUST_PROXY", "loopback", "server.trusted_proxies"),
        ("TRUST_PROXY", "300", "server.trusted_proxies"),
        ("RELAY_COMPAT", "v3", "store.compat"),
        ("PROXY_USE_IPV4", "ipv4", "upstream.proxy_use_ipv4"),
        ("REQUEST_TIMEOUT", "soon", "upstream.head_timeout_seconds"),
        ("LOG_PRETTY", "very", "log.format"),
        ("STICKY_SESSION_TTL_HOURS", "0.01", "sticky.lifetime_hours"),
        ("STICKY_SESSION_TTL_HOURS", "NaN", "sticky.lifetime_hours"),
        ("UPSTREAM_ERROR_503_TTL_SECONDS", "-1", "health.unavailable_seconds"),
        ("CLAUDE_OVERLOAD_HANDLING_MINUTES", "1441", "health.overloaded_seconds"),
        ("RELAY_CORS_ORIGINS", "*", "cors.origins"),
        ("REDIS_DB", "-1", "redis.db"),
        ("JWT_SECRET", "short", "secrets.jwt_secret"),
        ("ADMIN_SESSION_TIMEOUT", "59999", "admin.session_timeout_ms"),
        ("API_KEY_PREFIX", "my key", "keys.prefix"),
        ("LOG_LEVEL", "loud", "log.level"),
        ("RELAY_LOG_FORMAT", "xml", "log.format"),
        ("RELAY_LEASE_SECONDS", "1", "upstream.lease_seconds"),
        ("RELAY_MAX_ATTEMPTS", "-1", "upstream.max_attempts"),
    ];
    for (variable, value, path) in cases {
        let error = from_environment([(variable, value)]).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains(variable), "{variable}={value}: {error}");
    }
}

#[test]
fn placeholders_are_no_secrets() {
    let cases = [
        ("ENCRYPTION_KEY", "CHANGE-THIS-32-CHARACTER-KEY-NOW"),
        ("ENCRYPTION_KEY", "your-encryption-key-here"),
        ("JWT_SECRET", "CHANGE-THIS-JWT-SECRET-IN-PRODUCTION"),
        ("JWT_SECRET", "your-jwt-secret-here-your-jwt-secret"),
        ("ADMIN_PASSWORD", "changeme"),
    ];
    for (variable, value) in cases {
        let error = from_environment([(variable, value)]).unwrap_err().to_string();
        assert!(error.contains("placeholder") && !error.contains(value), "{variable}: {error}");
    }
}

#[test]
fn a_redis_is_named_in_one_way_only() {
    let url = ("RELAY_REDIS_URL", "redis://:hidden@127.0.0.1:6379/0");
    for part in
        [("REDIS_HOST", "h"), ("REDIS_PORT", "1"), ("REDIS_PASSWORD", "p"), ("REDIS_DB", "1")]
    {
        let error = from_environment([url, part]).unwrap_err().to_string();
        assert!(error.contains(part.0) && !error.contains("hidden"), "{error}");
    }
}

#[test]
fn mistakes_in_the_file_are_named() {
    let cases = [
        ("a misspelled name", "[server]\nprot = 1", "`server.prot`"),
        ("a misspelled section", "[sever]\nport = 1", "sever"),
        ("a name outside of its section", "port = 1", "port"),
        ("a text for a number", "[server]\nport = \"hidden\"", "server.port"),
        ("a number for a text", "[log]\nlevel = 3", "log.level"),
        ("a number for a section", "server = 3", "server"),
        ("a zero that nothing works with", "[server]\nmax_body_mb = 0", "server.max_body_mb"),
        ("out of range", "[upstream]\nlease_seconds = 0", "upstream.lease_seconds"),
    ];
    for (name, text, expected) in cases {
        let error = from_file(text, &[]).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("relay.toml"), "{name}: {error}");
        assert!(!error.contains("hidden"), "{name}: {error}");
    }
    assert!(matches!(from_file("[server", &[]), Err(ConfigError::NotToml { .. })));
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let environment = Environment::from([(FILE_VARIABLE, "/nowhere/relay.toml")]);
    let refused = Config::load(&environment, FileChoice::Usual);
    assert!(matches!(refused, Err(ConfigError::Unreadable { .. })));
    assert!(Config::load(&environment, FileChoice::Ignored).is_ok());
}

#[test]
fn a_misspelled_variable_is_noticed() {
    let config = from_environment([
        ("RELAY_WORKRES", "4"),
        ("RELAY_WORKERS", "4"),
        ("RELAY_CONFIG", ""),
        ("RELAY_TEST_REDIS_URL", "redis://x"),
        ("PATH", "/bin"),
    ])
    .unwrap();
    assert_eq!(config.notices().strays, ["RELAY_WORKRES"]);
    let doubts: Vec<_> = config.notices().doubts().collect();
    assert_eq!(doubts, ["RELAY_WORKRES is not a setting of Relay; is RELAY_WORKERS meant?"]);
}

#[test]
fn no_secret_is_printed() {
    let config = from_environment([
        ("REDIS_HOST", "cache"),
        ("REDIS_PASSWORD", "hidden"),
        ("ENCRYPTION_KEY", "hidden"),
        ("ADMIN_PASSWORD", "hidden"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("hidden"));
}
