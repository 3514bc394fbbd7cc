//! Names of counters, read back.

use relay_domain::{AccountId, GroupId, KeyId, ModelName, Period, PeriodKind};
use relay_store::UsageScope;

use super::Keyspace;

impl Keyspace {
    /// What the hash by this name counts: `None` if it is no counter of a scope that Relay has.
    pub(crate) fn counter_of(&self, name: &str) -> Option<(UsageScope, Period)> {
        let key = |id: &str| KeyId::try_from(id).ok().map(UsageScope::Key);
        let account = |id: &str| AccountId::try_from(id).ok().map(UsageScope::Account);
        let model = |name: &str| ModelName::try_from(name).ok().map(UsageScope::Model);
        let group = |id: &str| GroupId::try_from(id).ok().map(UsageScope::Group);
        if let Some(own) = name.strip_prefix(&self.own) {
            if let Some(name) = own.strip_prefix("usage:model:total:") {
                return Some((model(name)?, Period::Total));
            }
            let rest = own.strip_prefix("usage:group:")?;
            return match rest.strip_prefix("total:") {
                Some(id) => Some((group(id)?, Period::Total)),
                None => of_kind(rest).and_then(|(id, period)| Some((group(id)?, period))),
            };
        }
        if let Some(rest) = name.strip_prefix("account_usage:") {
            return match of_kind(rest) {
                Some((id, period)) => Some((account(id)?, period)),
                None => Some((account(rest)?, Period::Total)),
            };
        }
        let rest = name.strip_prefix("usage:")?;
        if let Some((name, period)) = rest.strip_prefix("model:").and_then(of_kind) {
            return Some((model(name)?, period));
        }
        match of_kind(rest) {
            Some((id, period)) => Some((key(id)?, period)),
            None => Some((key(rest)?, Period::Total)),
        }
    }
}

/// Reads `daily:<id>:<day>` and the like.
fn of_kind(text: &str) -> Option<(&str, Period)> {
    let kinds = [
        ("monthly:", PeriodKind::Month, 7),
        ("daily:", PeriodKind::Day, 10),
        ("hourly:", PeriodKind::Hour, 13),
    ];
    kinds.into_iter().find_map(|(prefix, kind, length)| {
        let rest = text.strip_prefix(prefix)?;
        let (id, period) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        let period = Period::parse(period).filter(|period| period.kind() == kind)?;
        Some((id.strip_suffix(':')?, period))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_known_by_their_names() {
        let keyspace = Keyspace::new("relay:");
        let scopes = [
            UsageScope::Key(KeyId::try_from("k").unwrap()),
            UsageScope::Key(KeyId::try_from("daily").unwrap()),
            UsageScope::Account(AccountId::try_from("a").unwrap()),
            UsageScope::Model(ModelName::try_from("m:1").unwrap()),
            UsageScope::Group(GroupId::try_from("g").unwrap()),
        ];
        let periods = ["", "2026-11", "2026-11-23", "2026-11-23:09"];
        for scope in scopes {
            for period in periods.map(|text| Period::parse(text).unwrap()) {
                let name = keyspace.counter(&scope, period);
                assert_eq!(keyspace.counter_of(&name), Some((scope.clone(), period)), "{name}");
            }
        }
    }

    #[test]
    fn what_relay_does_not_count_is_no_counter() {
        let names = [
            "usage:global:total",
            "usage:global:daily:2026-11-23",
            "usage:k:model:daily:m:2026-11-23",
            "usage:k:model:alltime:m",
            "account_usage:model:daily:a:m:2026-11-23",
            "usage:daily:k:2026-11",
            "usage:",
            "relay:hold:1",
        ];
        for name in names {
            assert_eq!(Keyspace::new("relay:").counter_of(name), None, "{name}");
        }
    }
}
