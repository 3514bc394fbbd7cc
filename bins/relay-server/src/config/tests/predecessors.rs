//! The environment of a v1 or a v2: every variable of theirs is taken, and what it means is said.

use std::collections::BTreeSet;
use std::time::Duration;

use relay_domain::Rest;
use relay_engine::ProxyNames;

use super::*;
use crate::config::ignored::IGNORED;

/// Every variable that v1 or v2 knew, or a compose file or script of theirs.
const PREDECESSORS: &str = include_str!("../predecessors.txt");
const MANUAL: &str = include_str!("../../../../../docs/configuration.md");

fn engine(config: &Config) -> relay_engine::EngineConfig {
    let Sections { upstream, sticky, health, keys, .. } = &config.sections;
    upstream.engine(&keys.prefix, 2, sticky, health)
}

fn problems(variables: &[(&str, &str)]) -> Vec<String> {
    let mut environment = Environment::default();
    for (name, value) in variables {
        environment.set(name, value);
    }
    let (_, problems) = Config::examine(&environment, FileChoice::Ignored).unwrap();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_variable_of_theirs_is_a_setting_or_ignored_with_a_reason() {
    let ignored: Vec<&str> = IGNORED.iter().flat_map(|entry| entry.names).copied().collect();
    let distinct: BTreeSet<_> = ignored.iter().collect();
    assert_eq!(distinct.len(), ignored.len(), "none is ignored twice");
    assert!(IGNORED.iter().all(|entry| !entry.why.is_empty()));
    let mut read = 0;
    for name in PREDECESSORS.lines() {
        let is_setting = SETTINGS.iter().any(|setting| setting.reads(name));
        assert!(is_setting != ignored.contains(&name), "{name}: either a setting or ignored");
        read += usize::from(is_setting);
    }
    assert!(read >= 35, "only {read} of them do anything");
    for name in ignored {
        assert!(PREDECESSORS.lines().any(|known| known == name), "{name} was never theirs");
    }
}

#[test]
fn the_manual_lists_every_variable_and_setting() {
    let in_a_table = |name: &str| {
        let quoted = format!("`{name}`");
        MANUAL.lines().any(|line| line.starts_with('|') && line.contains(&quoted))
    };
    for name in PREDECESSORS.lines() {
        assert!(in_a_table(name), "{name} is missing in docs/configuration.md");
    }
    for setting in SETTINGS {
        assert!(in_a_table(setting.path), "{} is missing", setting.path);
        assert!(in_a_table(setting.variable), "{} is missing", setting.variable);
    }
    for entry in IGNORED {
        assert!(MANUAL.contains(entry.why), "the reason is missing: {}", entry.why);
    }
}

#[test]
fn all_of_them_at_once_are_no_reason_not_to_start() {
    let mut environment = Environment::default();
    for name in
        PREDECESSORS.lines().filter(|name| IGNORED.iter().any(|entry| entry.names.contains(name)))
    {
        environment.set(name, "any text");
    }
    environment.set("WEB_TITLE", " ");
    let config = Config::load(&environment, FileChoice::Ignored).unwrap();
    let named: Vec<_> = config.notices().ignored().collect();
    assert_eq!(named.len(), IGNORED.iter().map(|entry| entry.names.len()).sum::<usize>() - 1);
    assert!(named.contains(&("LDAP_URL", "Relay has no portal for users")));
    assert_eq!(config.notices().doubts().count(), 0);
}

#[test]
fn what_means_something_here_works() {
    let config = from_environment([
        ("STICKY_SESSION_TTL_HOURS", "0.5"),
        ("STICKY_SESSION_RENEWAL_THRESHOLD_MINUTES", "15"),
        ("REQUEST_TIMEOUT", "90500"),
        ("HTTPS_FREE_SOCKET_TIMEOUT", "30000"),
        ("HTTPS_MAX_FREE_SOCKETS", "2048"),
        ("UPSTREAM_ERROR_503_TTL_SECONDS", "0"),
        ("CLAUDE_OVERLOAD_HANDLING_MINUTES", "10"),
        ("CLAUDE_CONSOLE_BLOCKED_HANDLING_MINUTES", "7"),
        ("PROXY_USE_IPV4", "no"),
    ])
    .unwrap();
    let engine = engine(&config);
    assert_eq!(engine.binding_lifetime, Duration::from_mins(30));
    assert_eq!(engine.binding_renewal, Duration::from_mins(15));
    assert_eq!(engine.head_timeout, Duration::from_secs(91), "a bound is not rounded down");
    assert_eq!(engine.pool_idle_timeout, Duration::from_secs(30));
    assert_eq!(engine.pool_max_idle, 1_024, "of each of two workers");
    assert_eq!(engine.rests.unavailable, Rest::Fixed(Duration::ZERO));
    assert_eq!(engine.rests.overloaded, Rest::Fixed(Duration::from_mins(10)));
    assert_eq!(engine.rests.disabled, Some(Duration::from_mins(7)));
    assert_eq!(engine.proxy_names, ProxyNames::Any);
    assert_eq!(config.origin("upstream.head_timeout_seconds"), Some("REQUEST_TIMEOUT"));
    let doubts: Vec<_> = config.notices().doubts().collect();
    assert_eq!(doubts, ["UPSTREAM_ERROR_503_TTL_SECONDS=0 is taken as 0; v1 took it for 60"]);
}

#[test]
fn a_zero_is_a_zero_or_counts_as_not_set_and_either_is_said() {
    let cases = [
        ("HTTPS_FREE_SOCKET_TIMEOUT", "upstream.pool_idle_seconds", "0", "took it for 30000"),
        ("STICKY_SESSION_TTL_HOURS", "sticky.lifetime_hours", "0", "took it for 1"),
        ("REQUEST_TIMEOUT", "upstream.head_timeout_seconds", "600", "head_timeout_seconds is 600"),
        ("REQUEST_MAX_SIZE_MB", "server.max_body_mb", "64", "server.max_body_mb is 64"),
        ("ADMIN_SESSION_TIMEOUT", "admin.session_timeout_ms", "86400000", "is 86400000"),
    ];
    for (variable, path, value, part) in cases {
        let config = from_environment([(variable, "0")]).unwrap();
        assert_eq!(text_of(&config, path), value, "{variable}");
        let doubts: Vec<_> = config.notices().doubts().collect();
        assert!(doubts.len() == 1 && doubts[0].contains(part), "{variable}: {doubts:?}");
        assert!(doubts[0].starts_with(&format!("{variable}=0 ")), "{doubts:?}");
    }
    let none_kept = from_environment([("HTTPS_FREE_SOCKET_TIMEOUT", "0")]).unwrap();
    assert_eq!(engine(&none_kept).pool_max_idle, 0);
    let unbound = from_environment([("STICKY_SESSION_TTL_HOURS", "0")]).unwrap();
    assert_eq!(engine(&unbound).binding_lifetime, Duration::ZERO);
    let own = [("RELAY_HEAD_TIMEOUT_SECONDS", "90"), ("REQUEST_TIMEOUT", "0")];
    let own = from_environment(own).unwrap();
    assert_eq!(engine(&own).head_timeout, Duration::from_secs(90));
    assert_eq!(own.notices().doubts().count(), 0, "what is passed over means nothing");
}

#[test]
fn what_is_not_set_is_relays_own() {
    let engine = engine(&from_environment([("CLAUDE_OVERLOAD_HANDLING_MINUTES", "0")]).unwrap());
    let own = relay_engine::EngineConfig::default();
    assert_eq!(format!("{engine:?}"), format!("{own:?}"));
}

#[test]
fn switches_are_read_in_every_convention_and_in_no_other() {
    for (text, on) in [
        ("true", true),
        ("TRUE", true),
        ("1", true),
        ("yes", true),
        ("on", true),
        ("false", false),
        ("0", false),
        ("no", false),
        ("Off", false),
    ] {
        let config = from_environment([("PROXY_USE_IPV4", text)]).unwrap();
        assert_eq!(config.sections.upstream.proxy_use_ipv4, on, "{text}");
        let config = from_environment([("TRUST_PROXY", text)]).unwrap();
        assert_eq!(config.sections.server.trusted_proxies, u8::from(on), "{text}");
    }
    let error = from_environment([("PROXY_USE_IPV4", "ja")]).unwrap_err().to_string();
    assert!(error.contains("true, 1, yes or on"), "{error}");
}

#[test]
fn names_of_a_compose_file_yield_to_the_plain_ones() {
    let (one, other) = ("1".repeat(32), "2".repeat(32));
    let secret_of = |config: &Config| {
        let secret = config.sections.secrets.jwt_secret.as_ref().unwrap();
        secret.expose_secret().to_owned()
    };
    let alias = from_environment([("V2_JWT_SECRET", &one), ("JWT_SECRET", "")]).unwrap();
    assert_eq!(secret_of(&alias), one);
    assert_eq!(alias.origin("secrets.jwt_secret"), Some("V2_JWT_SECRET"));
    let both = from_environment([("V2_JWT_SECRET", &one), ("JWT_SECRET", &other)]).unwrap();
    assert_eq!(secret_of(&both), other);
    let doubts: Vec<_> = both.notices().doubts().collect();
    assert_eq!(doubts, ["JWT_SECRET and V2_JWT_SECRET are both set and differ; JWT_SECRET holds"]);
    let same = from_environment([("V2_LOG_LEVEL", "warn"), ("LOG_LEVEL", "warn")]).unwrap();
    assert_eq!(same.notices().doubts().count(), 0);
    let level = from_environment([("V2_LOG_LEVEL", "silly")]).unwrap();
    assert_eq!(level.sections.log.level, LogLevel::Trace);
    let pretty = from_environment([("LOG_PRETTY", "false")]).unwrap();
    assert_eq!(pretty.sections.log.format, LogFormat::Json);
    let own = from_environment([("LOG_PRETTY", "false"), ("RELAY_LOG_FORMAT", "text")]).unwrap();
    assert_eq!(own.sections.log.format, LogFormat::Text);
}

#[test]
fn a_predecessor_that_is_named_brings_its_defaults() {
    let port = |config: &Config| config.sections.server.port;
    let sticky = |config: &Config| {
        let sticky = &config.sections.sticky;
        (sticky.lifetime(), sticky.renewal())
    };
    let days = |days: u64| Duration::from_hours(days * 24);
    let own = from_environment([("REDIS_HOST", "cache")]).unwrap();
    assert_eq!((port(&own), own.redis_database(), sticky(&own)), (4000, 1, (days(15), days(14))));

    let v1 = from_environment([("RELAY_COMPAT", "v1")]).unwrap();
    let hour = Duration::from_hours(1);
    assert_eq!((port(&v1), v1.redis_database(), sticky(&v1)), (3000, 0, (hour, Duration::ZERO)));
    assert_eq!(v1.store_kind(), StoreKind::Redis);
    assert_eq!(v1.origin("server.port"), Some("default of v1"));
    assert_eq!(v1.sections.server.host.to_string(), "127.0.0.1", "still closed");
    assert_eq!(v1.sections.server.trusted_proxies, 0);

    let v2 = from_environment([("RELAY_COMPAT", "v2")]).unwrap();
    assert_eq!((port(&v2), v2.redis_database(), sticky(&v2)), (4000, 1, (days(15), days(14))));

    let told =
        from_environment([("RELAY_COMPAT", "v1"), ("PORT", "5000"), ("REDIS_DB", "3")]).unwrap();
    assert_eq!((port(&told), told.redis_database()), (5000, 3), "what is said holds");
    let file = from_file("[store]\ncompat = \"v1\"\n", &[]).unwrap();
    assert_eq!(port(&file), 3000, "by the file too");
}

#[test]
fn an_offset_of_zero_is_eight_only_for_who_takes_over() {
    let minutes = |variables: &[(&str, &str)]| {
        let mut environment = Environment::default();
        for (name, value) in variables {
            environment.set(name, value);
        }
        let config = Config::load(&environment, FileChoice::Ignored).unwrap();
        (
            config.sections.store.calendar().standard_offset_minutes(),
            config.notices().doubts().count(),
        )
    };
    let zero = ("TIMEZONE_OFFSET", "0");
    assert_eq!(minutes(&[zero]), (0, 1), "with a warning");
    for compat in ["v1", "v2"] {
        assert_eq!(minutes(&[zero, ("RELAY_COMPAT", compat)]), (480, 0), "{compat}");
    }
    let half = ("TIMEZONE_OFFSET", "5.5");
    assert_eq!(minutes(&[half, ("RELAY_COMPAT", "v1")]).0, 300);
    assert_eq!(minutes(&[half, ("RELAY_COMPAT", "v2")]).0, 330);
}

#[test]
fn a_placeholder_opens_what_a_predecessor_sealed_and_nothing_else() {
    let placeholder = ("ENCRYPTION_KEY", "CHANGE-THIS-32-CHARACTER-KEY-NOW");
    assert!(from_environment([placeholder]).unwrap_err().to_string().contains("RELAY_COMPAT"));
    let config = from_environment([placeholder, ("RELAY_COMPAT", "v1")]).unwrap();
    let doubts: Vec<_> = config.notices().doubts().collect();
    assert!(doubts.len() == 1 && doubts[0].contains("ENCRYPTION_KEY"), "{doubts:?}");
    let jwt = ("JWT_SECRET", "CHANGE-THIS-JWT-SECRET-IN-PRODUCTION");
    assert!(from_environment([jwt, ("RELAY_COMPAT", "v1")]).is_err());
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let found = problems(&[
        ("PORT", "none"),
        ("HOST", "relay.example"),
        ("LOG_LEVEL", "loud"),
        ("REDIS_ENABLE_TLS", "maybe"),
        ("RELAY_LEASE_SECONDS", "1"),
        ("RELAY_MAX_ATTEMPTS", "0"),
        ("JWT_SECRET", "changeme"),
        ("RELAY_CORS_ORIGINS", "*,https://good.example,http://x/y"),
        ("RELAY_WORKERS", "3"),
    ]);
    let expected = [
        "server.port",
        "server.host",
        "log.level",
        "redis.tls",
        "upstream.lease_seconds",
        "upstream.max_attempts",
        "secrets.jwt_secret",
        "secrets.jwt_secret",
        "cors.origins",
        "cors.origins",
    ];
    for path in expected {
        assert!(found.iter().any(|problem| problem.starts_with(path)), "{path}: {found:?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:?}");

    let file = "[server]\nprot = 1\nport = \"x\"\n[sever]\nhost = 1\n[log]\nlevel = 3\n";
    let error = from_file(file, &[("PORT", "none")]).unwrap_err().to_string();
    let named = ["5 settings", "`server.prot`", "server.port (from PORT)", "sever", "log.level"];
    for name in named.iter().chain(["relay.toml) cannot be used"].iter()) {
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[test]
fn what_contradicts_itself_is_said() {
    let url = ("RELAY_REDIS_URL", "rediss://:hidden@cache/0");
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[url, ("REDIS_ENABLE_TLS", "false")], "redis.tls"),
        (&[("RELAY_REDIS_URL", "unix:///r.sock"), ("REDIS_ENABLE_TLS", "true")], "redis.tls"),
        (&[("RELAY_REDIS_TLS_CA", "/dev/null")], "redis.tls_ca_file"),
        (&[url, ("REDIS_HOST", "h"), ("REDIS_DB", "1")], "redis.host"),
        (&[url, ("REDIS_HOST", "h"), ("REDIS_DB", "1")], "redis.db"),
        (&[("ENABLE_CORS", "off"), ("RELAY_CORS_ORIGINS", "https://a")], "cors.enabled"),
    ];
    for (variables, path) in cases {
        let found = problems(variables);
        assert!(found.iter().any(|problem| problem.starts_with(path)), "{path}: {found:?}");
        assert!(!found.concat().contains("hidden"), "{found:?}");
    }
    assert!(problems(&[url]).is_empty() && problems(&[url, ("REDIS_ENABLE_TLS", "1")]).is_empty());
    let doubtful = [("ENABLE_CORS", "true"), ("REDIS_HOST", "h"), ("RELAY_STORE", "sqlite")];
    assert_eq!(from_environment(doubtful).unwrap().notices().doubts().count(), 2);
    let renewals =
        [("STICKY_SESSION_TTL_HOURS", "1"), ("STICKY_SESSION_RENEWAL_THRESHOLD_MINUTES", "60")];
    assert_eq!(from_environment(renewals).unwrap().notices().doubts().count(), 1);
}

#[test]
fn a_dotenv_stands_below_the_process_and_above_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let dotenv = "PORT=5001 # five\nHOST=\"0.0.0.0\"\nLOG_LEVEL=warn\nWEB_TITLE=mine\nRELAY_X=1\n";
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    fs::write(folder.path().join("relay.toml"), "[server]\nport = 5000\nmax_body_mb = 8\n")
        .unwrap();
    let environment = Environment::from([("HOST", "127.0.0.2"), ("LOG_LEVEL", "")]);
    let (config, problems) = Config::examine_in(environment, Some(folder.path())).unwrap();
    assert_eq!(problems, []);
    let expected = [
        ("server.port", "5001", Some("PORT in .env")),
        ("server.host", "127.0.0.2", Some("HOST")),
        ("log.level", "info", None),
    ];
    for (path, value, origin) in expected {
        assert_eq!((text_of(&config, path).as_str(), config.origin(path)), (value, origin));
    }
    assert_eq!(text_of(&config, "server.max_body_mb"), "8");
    assert_eq!(config.notices().ignored, ["WEB_TITLE"]);
    assert_eq!(config.notices().strays, ["RELAY_X"]);

    fs::write(folder.path().join(".env"), "PORT=none\n").unwrap();
    let (_, problems) = Config::examine_in(Environment::default(), Some(folder.path())).unwrap();
    assert!(problems[0].to_string().contains("PORT in .env"), "{problems:?}");
}
