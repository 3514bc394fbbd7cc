//! Which headers travel: one table for each direction, of what passes. Everything else stops.
//!
//! Families pass whole, known members or not, because a protocol's headers and body fields come in
//! pairs and grow together. Names are matched as the `http` crate gives them, in lower case.

/// Whether a client's header goes on to the provider.
#[must_use]
pub fn forwarded_to_upstream(name: &str) -> bool {
    TO_UPSTREAM.passes(name)
}

/// Whether a provider's header goes back to the client.
#[must_use]
pub fn returned_to_client(name: &str) -> bool {
    TO_CLIENT.passes(name)
}

/// What passes in one direction.
struct Table {
    /// Whole names.
    names: &'static [&'static str],
    /// Beginnings of names.
    families: &'static [&'static str],
    /// Beginnings of names that stop although their family passes.
    withheld: &'static [&'static str],
}

impl Table {
    fn passes(&self, name: &str) -> bool {
        self.names.contains(&name)
            || (self.families.iter().any(|family| name.starts_with(family))
                && !self.withheld.iter().any(|family| name.starts_with(family)))
    }
}

/// Absent on purpose:
/// - `authorization`, `x-api-key`, `api-key`, `x-goog-api-key`, `cookie`, `proxy-authorization`:
///   the client's credentials are for Relay; the account's take their place.
/// - `forwarded`, `x-forwarded-*`, `x-real-ip`, `via`, `cf-*`, `true-client-ip`, `cdn-loop`,
///   `origin`, `referer`: who the client is, and how it came here.
/// - `host`, `content-length`: made anew for the upstream connection.
/// - `accept-encoding`: Relay asks for identity itself, so that the tap can read the answer.
/// - `connection`, `keep-alive`, `te`, `trailer`, `transfer-encoding`, `upgrade`: end at each hop.
const TO_UPSTREAM: Table = Table {
    names: &[
        // What the body is, and what answer is understood.
        "content-type",
        "content-encoding",
        "accept",
        "accept-language",
        // Which program asks; providers decide about features by it.
        "user-agent",
        "x-app",
        "originator",
        "version",
        "sec-fetch-mode",
        // Which conversation and request it is: providers keep prompt caches by it.
        "session-id",
        "session_id",
        "thread-id",
        "conversation_id",
        "x-session-id",
        "x-session-affinity",
        "x-client-request-id",
    ],
    families: &[
        "anthropic-",
        "openai-",
        "x-claude-code-",
        "x-codex-",
        // Codex announces the dialect of its newer models by one of these.
        "x-openai-internal-",
        "x-stainless-",
    ],
    // Whose account the client would use without Relay; a provider refuses it beside another's key.
    withheld: &["openai-organization", "openai-project"],
};

/// Absent on purpose: `set-cookie` (it is the account's), `content-length`, `transfer-encoding` and
/// the other headers of one hop (made anew), `x-ratelimit-*`, `server`, `via`, `alt-svc`,
/// `strict-transport-security` (they speak of the provider's host, not of Relay's).
const TO_CLIENT: Table = Table {
    names: &[
        // What the body is.
        "content-type",
        "content-encoding",
        "cache-control",
        // What to quote to the provider's support.
        "request-id",
        "x-request-id",
        "cf-ray",
        // When to come back, and whether.
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
    ],
    families: &["anthropic-", "openai-", "x-codex-"],
    withheld: &[
        // Whose account it is.
        "anthropic-organization-",
        "anthropic-workspace-",
        "openai-organization",
        "openai-project",
        // How much is left of the pooled account's limits: true of the account, not of the client.
        "anthropic-ratelimit-",
        "anthropic-priority-",
        "anthropic-fast-",
        "x-codex-primary-",
        "x-codex-secondary-",
        "x-codex-credits-",
        "x-codex-plan-",
        "x-codex-active-limit",
        "x-codex-limit-",
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_the_protocol_reaches_the_provider() {
        let names = "accept accept-language anthropic-beta anthropic-version anthropic-brand-new \
            anthropic-dangerous-direct-browser-access content-encoding content-type \
            conversation_id openai-beta originator sec-fetch-mode session-id session_id thread-id \
            user-agent version x-app x-claude-code-agent-id x-claude-code-session-id \
            x-client-request-id x-codex-beta-features x-codex-turn-metadata x-codex-turn-state \
            x-codex-window-id x-openai-internal-codex-responses-lite x-session-affinity \
            x-session-id x-stainless-lang x-stainless-timeout";
        for name in names.split_whitespace() {
            assert!(forwarded_to_upstream(name), "{name}");
        }
    }

    #[test]
    fn who_the_client_is_does_not_reach_the_provider() {
        let names = "accept-encoding api-key authorization cdn-loop cf-connecting-ip cf-ipcountry \
            cf-ray connection content-length cookie expect forwarded host keep-alive \
            openai-organization openai-project origin proxy-authenticate proxy-authorization \
            proxy-connection referer te trailer transfer-encoding true-client-ip upgrade via \
            x-api-key x-forwarded-for x-forwarded-host x-forwarded-proto x-goog-api-key x-real-ip \
            x-something-unknown x-stainless anthropic accept-charset x-app-secret";
        for name in names.split_whitespace() {
            assert!(!forwarded_to_upstream(name), "{name}");
        }
    }

    #[test]
    fn what_clients_act_on_reaches_them() {
        let names = "anthropic-brand-new cache-control cf-ray content-encoding content-type \
            openai-processing-ms openai-version request-id retry-after retry-after-ms \
            x-codex-turn-state x-request-id x-should-retry";
        for name in names.split_whitespace() {
            assert!(returned_to_client(name), "{name}");
        }
    }

    #[test]
    fn what_is_the_accounts_does_not_reach_the_client() {
        let names = "anthropic-fast-input-tokens-remaining anthropic-organization-id \
            anthropic-priority-input-tokens-limit anthropic-ratelimit-requests-remaining \
            anthropic-ratelimit-unified-status anthropic-workspace-id authorization connection \
            content-length openai-organization openai-project server set-cookie \
            strict-transport-security transfer-encoding via x-api-key x-codex-credits-balance \
            x-codex-plan-type x-codex-primary-used-percent x-codex-secondary-reset-at \
            x-ratelimit-remaining-tokens x-something-unknown";
        for name in names.split_whitespace() {
            assert!(!returned_to_client(name), "{name}");
        }
    }
}
