//! What is looked up when somebody reads, and counted nowhere: the state of the engine, its accounts and its
//! journal, of the alerts, and of the process.

use std::collections::BTreeMap;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use relay_engine::alerts::AlertCounts;
use relay_engine::{AccountVitals, Vitals};

use crate::counter_grid::{CounterGrid, Counts};
use crate::process;

/// Accounts that are shown one by one, those that come first by priority and id.
const MOST_ACCOUNTS: usize = 200;

/// Every state of an account, so that each has a series also while no account is in it.
const STATES: [&str; 8] = [
    "active",
    "disabled",
    "rate_limited",
    "overloaded",
    "temp_error",
    "unauthorized",
    "blocked",
    "quota_exceeded",
];

/// Everything that is looked up now.
pub(crate) fn registry(vitals: &Vitals, alerts: AlertCounts) -> Registry {
    let mut all = Registry::default();
    let relay = all.sub_registry_with_prefix("relay");
    let mut gauge = |name: &str, help: &str, value: usize| {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        relay.register(name, help, ConstGauge::new(value));
    };
    gauge("requests_in_flight", "Requests that were let in and are not settled", vitals.in_flight);
    gauge("requests_queued", "Requests that wait in a queue", vitals.queued);
    gauge(
        "store_up",
        "Whether the store has just answered and takes writes",
        usize::from(vitals.store_is_up),
    );
    let help = "Settlements in the journal that the store has not taken";
    gauge("journal_settlements", help, vitals.journaled);
    let help = "Settlements in memory that neither store nor journal has taken";
    gauge("unkept_settlements", help, vitals.unkept);
    let help = "Accounts by the state that they are in";
    relay.register("accounts", help, AccountStates::of(&vitals.accounts));
    let help = "Whether an account may be chosen as far as its own state goes";
    relay.register("account_healthy", help, AccountHealths::of(&vitals.accounts));
    let help = "Damaged places that were found in the journal when it was opened";
    let damages = u64::try_from(vitals.journal_damages).unwrap_or(u64::MAX);
    relay.register("journal_damages", help, ConstCounter::new(damages));
    let help = "Events that were not handed on because too many waited";
    relay.register("events_missed", help, ConstCounter::new(alerts.missed));
    let outcome = ("outcome", &["told", "failed"][..]);
    let deliveries = CounterGrid::new([outcome], Counts::Whole);
    deliveries.add([0], alerts.told);
    deliveries.add([1], alerts.not_told);
    relay.register("webhook_deliveries", "Events for each webhook, told or given up", deliveries);
    process::register(&mut all);
    all
}

/// How many accounts of a platform are in each state.
#[derive(Debug)]
struct AccountStates(BTreeMap<(&'static str, &'static str), u32>);

impl AccountStates {
    fn of(accounts: &[AccountVitals]) -> Self {
        let mut counts = BTreeMap::new();
        for account in accounts {
            for state in STATES {
                counts.entry((account.platform.as_str(), state)).or_insert(0);
            }
            *counts.entry((account.platform.as_str(), account.state)).or_insert(0) += 1;
        }
        Self(counts)
    }
}

impl EncodeMetric for AccountStates {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        for ((platform, state), count) in &self.0 {
            let labels = [("platform", *platform), ("status", *state)];
            encoder.encode_family(&labels)?.encode_gauge(count)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// Whether each account is in the state in which it may be chosen.
#[derive(Debug)]
struct AccountHealths(Vec<(String, &'static str, bool)>);

impl AccountHealths {
    fn of(accounts: &[AccountVitals]) -> Self {
        let shown = accounts.iter().take(MOST_ACCOUNTS);
        Self(
            shown
                .map(|account| {
                    (account.id.to_string(), account.platform.as_str(), account.state == "active")
                })
                .collect(),
        )
    }
}

impl EncodeMetric for AccountHealths {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        for (id, platform, is_healthy) in &self.0 {
            let labels = [("account", id.as_str()), ("platform", *platform)];
            encoder.encode_family(&labels)?.encode_gauge(&u32::from(*is_healthy))?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use relay_domain::{AccountId, Platform};

    use super::*;
    use crate::text::tests::text_of_registry;

    fn account(number: usize, state: &'static str) -> AccountVitals {
        let id = AccountId::try_from(format!("account-{number}")).unwrap();
        AccountVitals { id, platform: Platform::ClaudeConsole, state }
    }

    #[test]
    fn the_state_is_shown_as_it_is_now() {
        let accounts = vec![account(1, "active"), account(2, "rate_limited"), account(3, "active")];
        let vitals = Vitals {
            in_flight: 3,
            queued: 2,
            journaled: 1,
            journal_damages: 2,
            unkept: 0,
            store_is_up: true,
            accounts,
        };
        let text =
            text_of_registry(&registry(&vitals, AlertCounts { missed: 4, told: 5, not_told: 6 }));
        for line in [
            "relay_requests_in_flight 3",
            "relay_requests_queued 2",
            "relay_journal_settlements 1",
            "relay_journal_damages_total 2",
            "relay_unkept_settlements 0",
            "relay_store_up 1",
            r#"relay_accounts{platform="claude-console",status="active"} 2"#,
            r#"relay_accounts{platform="claude-console",status="rate_limited"} 1"#,
            r#"relay_accounts{platform="claude-console",status="blocked"} 0"#,
            r#"relay_account_healthy{account="account-1",platform="claude-console"} 1"#,
            r#"relay_account_healthy{account="account-2",platform="claude-console"} 0"#,
            "relay_events_missed_total 4",
            r#"relay_webhook_deliveries_total{outcome="told"} 5"#,
            r#"relay_webhook_deliveries_total{outcome="failed"} 6"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn accounts_are_shown_one_by_one_up_to_a_bound() {
        let accounts = (0..MOST_ACCOUNTS + 5).map(|number| account(number, "active")).collect();
        let vitals = Vitals { accounts, ..Vitals::default() };
        let text = text_of_registry(&registry(&vitals, AlertCounts::default()));
        let shown = text.lines().filter(|line| line.starts_with("relay_account_healthy{"));
        assert_eq!(shown.count(), MOST_ACCOUNTS);
        assert!(text.contains(r#"status="active"} 205"#), "{text}");
    }
}
