//! Variables of v1 and v2 that mean nothing here: they are accepted, and named at the start.

/// Variables that mean nothing here, with the reason.
pub(crate) struct Ignored {
    pub(crate) names: &'static [&'static str],
    /// As the end of a sentence that begins with the names.
    pub(crate) why: &'static str,
}

/// Why `variable` means nothing here, if it is one that v1 or v2 knew.
pub(crate) fn why_ignored(variable: &str) -> Option<&'static str> {
    let entry = IGNORED.iter().find(|entry| entry.names.contains(&variable))?;
    Some(entry.why)
}

/// All of them.
pub(crate) const IGNORED: &[Ignored] = &[
    Ignored {
        names: &["CLAUDE_API_URL", "CLAUDE_API_VERSION", "CLAUDE_BETA_HEADER"],
        why: "an account has its own address, and the client's version and beta headers pass",
    },
    Ignored {
        names: &["CLAUDE_DEDICATED_ACCOUNT_FALLBACK", "CLAUDE_5H_WARNING_MAX_NOTIFICATIONS"],
        why: "it is about OAuth accounts, which Relay does not have",
    },
    Ignored {
        names: &["CLAUDE_CODE_MIN_SYSTEM_PROMPT_MATCHES", "SYSTEM_PROMPT_THRESHOLD"],
        why: "clients are not told apart by how similar their prompts are",
    },
    Ignored {
        names: &["DEFAULT_PROXY_TIMEOUT"],
        why: "connecting through a proxy has the bound of connecting, and RELAY_IDLE_TIMEOUT_SECONDS bounds silence",
    },
    Ignored {
        names: &["MAX_PROXY_RETRIES"],
        why: "v1 and v2 did not read it either; RELAY_MAX_ATTEMPTS bounds attempts",
    },
    Ignored {
        names: &["PROXY_KEEP_ALIVE", "PROXY_MAX_SOCKETS", "PROXY_MAX_FREE_SOCKETS"],
        why: "connections through a proxy are kept and bounded like direct ones",
    },
    Ignored {
        names: &["HTTPS_MAX_SOCKETS_STREAM", "HTTPS_MAX_SOCKETS_NON_STREAM"],
        why: "there are as many upstream connections as requests; limits of keys and accounts bound those",
    },
    Ignored {
        names: &["HTTP_PROXY", "HTTPS_PROXY"],
        why: "a proxy is a setting of an account, so that none is used or passed by unseen",
    },
    Ignored {
        names: &["DEFAULT_TOKEN_LIMIT"],
        why: "neither v1 nor v2 held a request against it; limits are set on a key",
    },
    Ignored {
        names: &["LOG_MAX_SIZE", "LOG_MAX_FILES"],
        why: "Relay logs to standard error and writes no files",
    },
    Ignored {
        names: &["CLEANUP_INTERVAL", "TOKEN_USAGE_RETENTION", "HEALTH_CHECK_INTERVAL"],
        why: "what is kept has a lifetime of its own, and health is asked for",
    },
    Ignored {
        names: &["SYSTEM_TIMEZONE", "TZ"],
        why: "days are counted by TIMEZONE_OFFSET or RELAY_TIMEZONE, and the log is in UTC",
    },
    Ignored {
        names: &["METRICS_WINDOW"],
        why: "v1's counters by the minute are kept for its usual window of ten minutes",
    },
    Ignored {
        names: &["CLEAR_CONCURRENCY_QUEUES_ON_STARTUP"],
        why: "it would take the slots of other instances; a slot ends with its lease",
    },
    Ignored {
        names: &["CONCURRENCY_MAX_LIFETIME_MINUTES"],
        why: "a request holds its slot for as long as it runs, by leases of RELAY_LEASE_SECONDS",
    },
    Ignored {
        names: &[
            "USER_MESSAGE_QUEUE_ENABLED",
            "USER_MESSAGE_QUEUE_DELAY_MS",
            "USER_MESSAGE_QUEUE_TIMEOUT_MS",
            "USER_MESSAGE_QUEUE_LOCK_TTL_MS",
        ],
        why: "Relay does not queue the messages of a user",
    },
    Ignored {
        names: &["UNSTABLE_ERROR_TYPES", "UNSTABLE_ERROR_KEYWORDS"],
        why: "what an upstream's error means is one table, see docs/failover.md",
    },
    Ignored {
        names: &["ACCOUNT_TEST_SCHEDULER_ENABLED"],
        why: "Relay does not spend tokens on tests of accounts",
    },
    Ignored { names: &["BALANCE_SCRIPT_ENABLED"], why: "Relay runs no code from data" },
    Ignored {
        names: &[
            "QUOTA_CARD_LIMITS_ENABLED",
            "QUOTA_CARD_MAX_EXPIRY_DAYS",
            "QUOTA_CARD_MAX_TOTAL_COST_LIMIT",
        ],
        why: "Relay has no quota cards",
    },
    Ignored {
        names: &["WEBHOOK_ENABLED", "WEBHOOK_URLS", "WEBHOOK_TIMEOUT", "WEBHOOK_RETRIES"],
        why: "v1 did not read it either; RELAY_WEBHOOK_URLS names webhooks, which need RELAY_WEBHOOK_SECRET",
    },
    Ignored {
        names: &[
            "PRICE_MIRROR_REPO",
            "GITHUB_REPOSITORY",
            "PRICE_MIRROR_BRANCH",
            "PRICE_MIRROR_HASH_FILENAME",
        ],
        why: "nothing is fetched unless RELAY_PRICES_URL or PRICE_MIRROR_BASE_URL says from where",
    },
    Ignored {
        names: &["WEB_TITLE", "WEB_DESCRIPTION", "WEB_LOGO_URL", "WEB_SESSION_SECRET"],
        why: "there is no web console yet",
    },
    Ignored {
        names: &[
            "USER_MANAGEMENT_ENABLED",
            "DEFAULT_USER_ROLE",
            "USER_SESSION_TIMEOUT",
            "MAX_API_KEYS_PER_USER",
            "ALLOW_USER_DELETE_API_KEYS",
            "LDAP_ENABLED",
            "LDAP_URL",
            "LDAP_BIND_DN",
            "LDAP_BIND_PASSWORD",
            "LDAP_SEARCH_BASE",
            "LDAP_SEARCH_FILTER",
            "LDAP_SEARCH_ATTRIBUTES",
            "LDAP_TIMEOUT",
            "LDAP_CONNECT_TIMEOUT",
            "LDAP_TLS_REJECT_UNAUTHORIZED",
            "LDAP_TLS_CA_FILE",
            "LDAP_TLS_CERT_FILE",
            "LDAP_TLS_KEY_FILE",
            "LDAP_TLS_SERVERNAME",
            "LDAP_USER_ATTR_USERNAME",
            "LDAP_USER_ATTR_DISPLAY_NAME",
            "LDAP_USER_ATTR_EMAIL",
            "LDAP_USER_ATTR_FIRST_NAME",
            "LDAP_USER_ATTR_LAST_NAME",
        ],
        why: "Relay has no portal for users",
    },
    Ignored {
        names: &["ALLOW_CUSTOM_CLIENTS"],
        why: "v1 and v2 did not read it either; a key says which clients it allows",
    },
    Ignored { names: &["APP_VERSION", "VERSION"], why: "the version is that of the binary" },
    Ignored {
        names: &[
            "DEBUG",
            "HOT_RELOAD",
            "DEBUG_HTTP_TRAFFIC",
            "ANTHROPIC_DEBUG_REQUEST_DUMP",
            "ANTHROPIC_DEBUG_REQUEST_DUMP_MAX_BYTES",
            "ANTHROPIC_DEBUG_RESPONSE_DUMP",
            "ANTHROPIC_DEBUG_RESPONSE_DUMP_MAX_BYTES",
            "ANTHROPIC_DEBUG_TOOLS_DUMP",
            "ANTIGRAVITY_DEBUG_UPSTREAM_REQUEST_DUMP",
            "ANTIGRAVITY_DEBUG_UPSTREAM_REQUEST_DUMP_MAX_BYTES",
            "ANTIGRAVITY_DEBUG_UPSTREAM_RESPONSE_DUMP",
            "ANTIGRAVITY_DEBUG_UPSTREAM_RESPONSE_DUMP_MAX_BYTES",
            "DUMP_MAX_FILE_SIZE_BYTES",
        ],
        why: "Relay never writes down what clients and providers say; LOG_LEVEL says how much is logged",
    },
    Ignored {
        names: &[
            "CLAUDE_CODE_USE_BEDROCK",
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "ANTHROPIC_MODEL",
            "ANTHROPIC_SMALL_FAST_MODEL",
            "ANTHROPIC_SMALL_FAST_MODEL_AWS_REGION",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
            "BEDROCK_MAX_OUTPUT_TOKENS",
            "MAX_THINKING_TOKENS",
            "DISABLE_PROMPT_CACHING",
            "GEMINI_OAUTH_CLIENT_ID",
            "GEMINI_OAUTH_CLIENT_SECRET",
            "GEMINI_OAUTH_REDIRECT_URI",
            "ANTIGRAVITY_OAUTH_CLIENT_ID",
            "ANTIGRAVITY_OAUTH_CLIENT_SECRET",
            "ANTIGRAVITY_OAUTH_REDIRECT_URI",
            "ANTIGRAVITY_API_URL",
            "ANTIGRAVITY_USER_AGENT",
            "GOOGLE_CLOUD_PROJECT",
            "ANTHROPIC_TOOL_ERROR_CONTINUE",
            "ANTHROPIC_TEXT_TOOL_FALLBACK",
        ],
        why: "it is about a platform that Relay does not speak to (Bedrock, Gemini, Antigravity)",
    },
    Ignored {
        names: &[
            "BIND_HOST",
            "REDIS_WEB_PORT",
            "PROMETHEUS_PORT",
            "GRAFANA_PORT",
            "GRAFANA_ADMIN_PASSWORD",
            "V2_API_URL",
        ],
        why: "it is about other parts of a compose file; HOST says where Relay listens",
    },
    Ignored {
        names: &[
            "VITE_APP_BASE_URL",
            "VITE_APP_TITLE",
            "VITE_API_TARGET",
            "VITE_HTTP_PROXY",
            "VITE_API_BASE_PREFIX",
            "NEXT_PUBLIC_API_URL",
        ],
        why: "it was built into the predecessors' web pages",
    },
    Ignored { names: &["JEST_WORKER_ID", "REDIS_TEST"], why: "it is about v1's tests" },
];
