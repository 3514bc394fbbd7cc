//! Which of v1's names Relay keeps in step, beside API keys, accounts, groups of them, bindings and counters.

use super::{AccountFamily, Keyspace};

/// What v1 counts and sums up, by what the names begin with.
const COUNTED: [&str; 9] = [
    "account_usage:",
    "rate_limit:",
    "system:metrics:minute:",
    "usage:cost:",
    "usage:global:",
    "usage:keymodel:",
    "usage:model:",
    "usage:opus:",
    "usage:records:",
];

impl Keyspace {
    /// Whether a name is that of an index, a sum, a list or a login that Relay keeps as v1 or v2 does.
    pub(crate) fn is_kept_in_step(&self, name: &str) -> bool {
        self.is_key_index(name)
            || name == self.key_digests()
            || name.starts_with("apikey_hash:")
            || self.is_account_index(name)
            || is_of_usage(name)
            || is_lease(name)
            || [self.admin_credentials(), self.v1_admin_credentials(), self.billing_events()]
                .contains(&name)
            || name == "system:service_rates"
    }

    fn is_account_index(&self, name: &str) -> bool {
        AccountFamily::ALL.into_iter().any(|family| {
            name == self.account_ids(family)
                || name == self.no_accounts(family)
                || name == self.shared_accounts(family)
        })
    }
}

/// Whether a name is about what was used, and no counter of one scope.
fn is_of_usage(name: &str) -> bool {
    COUNTED.iter().any(|stem| name.starts_with(stem))
        || name.strip_prefix("usage:").is_some_and(|rest| {
            rest.contains(":index:")
                || rest.split_once(':').is_some_and(|(_, of)| of.starts_with("model:"))
        })
}

/// Whether a name is that of the leases of a key or of an account.
fn is_lease(name: &str) -> bool {
    let Some(of) = name.strip_prefix("concurrency:") else { return false };
    !of.strip_prefix("console_account:").unwrap_or(of).contains(':')
}

#[cfg(test)]
mod tests {
    use relay_domain::{AccountId, KeyId, LimitScope, Period};
    use relay_store::SettingsName;

    use super::super::Index;
    use super::*;

    #[test]
    fn what_relay_writes_is_told_from_what_it_leaves_alone() {
        let keyspace = Keyspace::new("relay:");
        let key = KeyId::try_from("k").unwrap();
        let account = AccountId::try_from("a").unwrap();
        let day = Period::Day { year: 2026, month: 11, day: 23 };
        let indexes =
            [Index::Keys, Index::Models, Index::KeyModels, Index::Accounts, Index::AccountModels];
        let kept = indexes
            .into_iter()
            .map(|index| keyspace.index(index, day))
            .flat_map(|index| [keyspace.emptiness(&index), index])
            .chain(AccountFamily::ALL.into_iter().flat_map(|family| {
                [
                    keyspace.account_ids(family),
                    keyspace.no_accounts(family),
                    keyspace.shared_accounts(family),
                ]
            }))
            .chain(keyspace.window(&key))
            .chain([
                keyspace.key_model_counter(&key, "m:1", day),
                keyspace.key_model_counter(&key, "m", Period::Total),
                keyspace.account_model_counter(&account, "m", day),
                keyspace.global_counter(day),
                keyspace.minute_counter(7),
                keyspace.charged(&key, day),
                keyspace.cost(&key, Period::Total),
                keyspace.claude_charged(&key, Some("2026-11-23T00")),
                keyspace.claude_cost(&key, None),
                keyspace.months().to_owned(),
                keyspace.records_of_key(&key),
                keyspace.billing_events().to_owned(),
                keyspace.leases(&LimitScope::Key(key.clone())),
                keyspace.leases(&LimitScope::Account(account)),
                keyspace.legacy_key_digest("00"),
                keyspace.key_tag("t"),
                keyspace.settings(SettingsName::ServiceRates),
                keyspace.admin_credentials().to_owned(),
                keyspace.v1_admin_credentials().to_owned(),
            ])
            .chain(
                [
                    keyspace.key_digests(),
                    keyspace.key_ids(),
                    keyspace.keys_by_use(),
                    keyspace.active_keys(),
                    keyspace.key_tags(),
                    keyspace.key_index_version(),
                ]
                .map(str::to_owned),
            );
        for name in kept {
            assert!(keyspace.is_kept_in_step(&name), "{name}");
        }
        for name in [
            "user:u1",
            "session:0123",
            "cost_rank:today",
            "claude:account:1",
            "claude_code_headers:1",
            "concurrency:queue:stats:k",
            "error_history:claude-console:1",
            "claude_relay_config",
            "usage:k",
        ] {
            assert!(!keyspace.is_kept_in_step(name), "{name}");
        }
    }
}
