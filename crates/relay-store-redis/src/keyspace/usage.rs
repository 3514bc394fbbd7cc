//! The names of what was used: v1's counters, sums, indexes and lists, and Relay's beside them.

use relay_domain::{AccountId, KeyId, LimitScope, Period, PeriodKind};
use relay_store::UsageScope;

use super::Keyspace;

/// How v1 calls the kinds of period.
fn word(kind: PeriodKind) -> &'static str {
    match kind {
        PeriodKind::Total => "total",
        PeriodKind::Month => "monthly",
        PeriodKind::Day => "daily",
        PeriodKind::Hour => "hourly",
    }
}

/// v1's sets of what was used in a period.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Index {
    /// Ids of API keys.
    Keys,
    /// Names of models.
    Models,
    /// API key and model.
    KeyModels,
    /// Ids of accounts.
    Accounts,
    /// Account and model.
    AccountModels,
}

#[expect(clippy::unused_self, reason = "a layout with hash tags makes every name from its state")]
impl Keyspace {
    /// The hash in which a scope's usage of a period is counted. v1 has no total of a model over all
    /// keys, and no groups of keys: those are Relay's own.
    pub(crate) fn counter(&self, scope: &UsageScope, period: Period) -> String {
        let kind = word(period.kind());
        let is_total = period == Period::Total;
        match scope {
            UsageScope::Key(key) if is_total => format!("usage:{key}"),
            UsageScope::Key(key) => format!("usage:{kind}:{key}:{period}"),
            UsageScope::Account(account) if is_total => format!("account_usage:{account}"),
            UsageScope::Account(account) => format!("account_usage:{kind}:{account}:{period}"),
            UsageScope::Model(model) => self.model_counter(model.as_str(), period),
            UsageScope::Group(group) if is_total => {
                format!("{}usage:group:{kind}:{group}", self.own)
            }
            UsageScope::Group(group) => format!("{}usage:group:{kind}:{group}:{period}", self.own),
        }
    }

    /// The hash in which a model's usage by all keys is counted.
    pub(crate) fn model_counter(&self, model: &str, period: Period) -> String {
        let kind = word(period.kind());
        if period == Period::Total {
            format!("{}usage:model:{kind}:{model}", self.own)
        } else {
            format!("usage:model:{kind}:{model}:{period}")
        }
    }

    /// The hash in which v1 counts a key's usage of a model.
    pub(crate) fn key_model_counter(&self, key: &KeyId, model: &str, period: Period) -> String {
        if period == Period::Total {
            format!("usage:{key}:model:alltime:{model}")
        } else {
            format!("usage:{key}:model:{}:{model}:{period}", word(period.kind()))
        }
    }

    /// The hash in which v1 counts an account's usage of a model in a period.
    pub(crate) fn account_model_counter(
        &self,
        account: &AccountId,
        model: &str,
        period: Period,
    ) -> String {
        format!("account_usage:model:{}:{account}:{model}:{period}", word(period.kind()))
    }

    /// The hash in which v1 counts everything.
    pub(crate) fn global_counter(&self, period: Period) -> String {
        if period == Period::Total {
            "usage:global:total".to_owned()
        } else {
            format!("usage:global:{}:{period}", word(period.kind()))
        }
    }

    /// The hash in which v1 counts a minute since 1970.
    pub(crate) fn minute_counter(&self, minute: u64) -> String {
        format!("system:metrics:minute:{minute}")
    }

    /// What a key was charged in a period, in dollars.
    pub(crate) fn charged(&self, key: &KeyId, period: Period) -> String {
        if period == Period::Total {
            format!("usage:cost:total:{key}")
        } else {
            format!("usage:cost:{}:{key}:{period}", word(period.kind()))
        }
    }

    /// What a key's requests of a period (a day or all time) cost, in dollars.
    pub(crate) fn cost(&self, key: &KeyId, period: Period) -> String {
        if period == Period::Total {
            format!("usage:cost:real:total:{key}")
        } else {
            format!("usage:cost:real:{}:{key}:{period}", word(period.kind()))
        }
    }

    /// What a key was charged for Claude models in a week of its own, or in all.
    pub(crate) fn claude_charged(&self, key: &KeyId, week: Option<&str>) -> String {
        match week {
            Some(week) => format!("usage:opus:weekly:{key}:{week}"),
            None => format!("usage:opus:total:{key}"),
        }
    }

    /// What a key's requests of Claude models cost in a week of its own, or in all.
    pub(crate) fn claude_cost(&self, key: &KeyId, week: Option<&str>) -> String {
        match week {
            Some(week) => format!("usage:opus:real:weekly:{key}:{week}"),
            None => format!("usage:opus:real:total:{key}"),
        }
    }

    /// The set of what was used in a period.
    pub(crate) fn index(&self, index: Index, period: Period) -> String {
        let stem = match index {
            Index::Keys => "usage",
            Index::Models => "usage:model",
            Index::KeyModels => "usage:keymodel",
            Index::Accounts => "account_usage",
            Index::AccountModels => "account_usage:model",
        };
        format!("{stem}:{}:index:{period}", word(period.kind()))
    }

    /// The set of the months in which a model was used.
    pub(crate) fn months(&self) -> &'static str {
        "usage:model:monthly:months"
    }

    /// v1's note that a set is empty, which would make it overlook a new member.
    pub(crate) fn emptiness(&self, index: &str) -> String {
        format!("{index}:empty")
    }

    /// v1's list of a key's last requests.
    pub(crate) fn records_of_key(&self, key: &KeyId) -> String {
        format!("usage:records:{key}")
    }

    /// v1's stream of what was charged.
    pub(crate) fn billing_events(&self) -> &'static str {
        "billing:events"
    }

    // Limits.

    /// The set of leases of running requests: v1's of a key and of an account, Relay's of a group.
    pub(crate) fn leases(&self, scope: &LimitScope) -> String {
        match scope {
            LimitScope::Key(key) => format!("concurrency:{key}"),
            LimitScope::Account(account) => format!("concurrency:console_account:{account}"),
            LimitScope::Group(group) => format!("{}concurrency:group:{group}", self.own),
        }
    }

    /// What the ledger knows of a scope's limits that no counter tells.
    pub(crate) fn meter(&self, scope: &LimitScope) -> String {
        match scope {
            LimitScope::Key(key) => format!("{}meter:key:{key}", self.own),
            LimitScope::Group(group) => format!("{}meter:group:{group}", self.own),
            LimitScope::Account(account) => format!("{}meter:account:{account}", self.own),
        }
    }

    /// v1's window of a key: its beginning, requests, tokens, cost.
    pub(crate) fn window(&self, key: &KeyId) -> [String; 4] {
        ["window_start", "requests", "tokens", "cost"]
            .map(|part| format!("rate_limit:{part}:{key}"))
    }
}

#[cfg(test)]
mod tests {
    use relay_domain::{GroupId, ModelName};

    use super::*;

    const MONTH: Period = Period::Month { year: 2026, month: 11 };
    const DAY: Period = Period::Day { year: 2026, month: 11, day: 23 };
    const HOUR: Period = Period::Hour { year: 2026, month: 11, day: 23, hour: 9 };

    #[test]
    fn counters_have_the_names_of_v1() {
        let keyspace = Keyspace::new("relay:");
        let key = UsageScope::Key(KeyId::try_from("k").unwrap());
        let account = UsageScope::Account(AccountId::try_from("a").unwrap());
        let model = UsageScope::Model(ModelName::try_from("m:1").unwrap());
        let group = UsageScope::Group(GroupId::try_from("g").unwrap());
        let cases = [
            (&key, Period::Total, "usage:k"),
            (&key, MONTH, "usage:monthly:k:2026-11"),
            (&key, DAY, "usage:daily:k:2026-11-23"),
            (&key, HOUR, "usage:hourly:k:2026-11-23:09"),
            (&account, Period::Total, "account_usage:a"),
            (&account, HOUR, "account_usage:hourly:a:2026-11-23:09"),
            (&model, DAY, "usage:model:daily:m:1:2026-11-23"),
            (&model, Period::Total, "relay:usage:model:total:m:1"),
            (&group, Period::Total, "relay:usage:group:total:g"),
            (&group, DAY, "relay:usage:group:daily:g:2026-11-23"),
        ];
        for (scope, period, name) in cases {
            assert_eq!(keyspace.counter(scope, period), name);
        }
    }

    #[test]
    fn what_limits_read_has_the_names_of_v1_where_v1_has_any() {
        let keyspace = Keyspace::new("relay:");
        let key = KeyId::try_from("k").unwrap();
        let account = LimitScope::Account(AccountId::try_from("a").unwrap());
        let group = LimitScope::Group(GroupId::try_from("g").unwrap());
        for (name, expected) in [
            (keyspace.charged(&key, DAY), "usage:cost:daily:k:2026-11-23"),
            (keyspace.charged(&key, MONTH), "usage:cost:monthly:k:2026-11"),
            (keyspace.charged(&key, Period::Total), "usage:cost:total:k"),
            (keyspace.cost(&key, DAY), "usage:cost:real:daily:k:2026-11-23"),
            (
                keyspace.claude_charged(&key, Some("2026-11-23T00")),
                "usage:opus:weekly:k:2026-11-23T00",
            ),
            (keyspace.claude_charged(&key, None), "usage:opus:total:k"),
            (keyspace.leases(&LimitScope::Key(key.clone())), "concurrency:k"),
            (keyspace.leases(&account), "concurrency:console_account:a"),
            (keyspace.leases(&group), "relay:concurrency:group:g"),
            (keyspace.meter(&account), "relay:meter:account:a"),
            (keyspace.window(&key)[0].clone(), "rate_limit:window_start:k"),
        ] {
            assert_eq!(name, expected);
        }
    }
}
