//! What is known of limits, and a conversation's binding, in the file.

use relay_domain::{
    AccountId, AffinityKey, LimitScope, NanoUsd, PeriodStarts, Platform, Timestamp,
};
use relay_store::{Binding, LimitFacts, LimitRestart, OpenWindow, Rebind, SpentInPeriod};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub(super) struct LimitForm {
    scope: LimitScope,
    window: Option<WindowForm>,
    restart: Option<RestartForm>,
    own_day: Option<SpentForm>,
    claude_week: Option<SpentForm>,
}

#[derive(Deserialize, Serialize)]
struct WindowForm {
    opened_at: Timestamp,
    ends_at: Timestamp,
    requests: u64,
    tokens: u64,
    cost: NanoUsd,
}

#[derive(Deserialize, Serialize)]
struct RestartForm {
    at: Timestamp,
    spent: NanoUsd,
    claude: NanoUsd,
}

#[derive(Deserialize, Serialize)]
struct SpentForm {
    day_minute: u16,
    week_day: u8,
    week_hour: u8,
    starts_at: Timestamp,
    amount: NanoUsd,
}

#[derive(Deserialize, Serialize)]
pub(super) struct BindingForm {
    /// Of the account.
    platform: Platform,
    conversation: AffinityKey,
    account: AccountId,
    until: Timestamp,
}

impl From<LimitFacts> for LimitForm {
    fn from(facts: LimitFacts) -> Self {
        let LimitFacts { scope, window, restart, own_day, claude_week } = facts;
        let window = window.map(|OpenWindow { opened_at, ends_at, requests, tokens, cost }| {
            WindowForm { opened_at, ends_at, requests, tokens, cost }
        });
        let restart =
            restart.map(|LimitRestart { at, spent, claude }| RestartForm { at, spent, claude });
        let (own_day, claude_week) =
            (own_day.map(SpentForm::from), claude_week.map(SpentForm::from));
        Self { scope, window, restart, own_day, claude_week }
    }
}

impl From<LimitForm> for LimitFacts {
    fn from(form: LimitForm) -> Self {
        let LimitForm { scope, window, restart, own_day, claude_week } = form;
        let window = window.map(|WindowForm { opened_at, ends_at, requests, tokens, cost }| {
            OpenWindow { opened_at, ends_at, requests, tokens, cost }
        });
        let restart =
            restart.map(|RestartForm { at, spent, claude }| LimitRestart { at, spent, claude });
        let (own_day, claude_week) =
            (own_day.map(SpentInPeriod::from), claude_week.map(SpentInPeriod::from));
        Self { scope, window, restart, own_day, claude_week }
    }
}

impl From<SpentInPeriod> for SpentForm {
    fn from(SpentInPeriod { starts, starts_at, amount }: SpentInPeriod) -> Self {
        let PeriodStarts { day_minute, week_day, week_hour } = starts;
        Self { day_minute, week_day, week_hour, starts_at, amount }
    }
}

impl From<SpentForm> for SpentInPeriod {
    fn from(form: SpentForm) -> Self {
        let SpentForm { day_minute, week_day, week_hour, starts_at, amount } = form;
        let starts = PeriodStarts { day_minute, week_day, week_hour };
        Self { starts, starts_at, amount }
    }
}

impl BindingForm {
    pub(super) fn of(platform: Platform, bound: Rebind) -> Self {
        let Rebind { affinity, binding: Binding { account, until } } = bound;
        Self { platform, conversation: affinity, account, until }
    }

    pub(super) fn into_bound(self) -> (Platform, Rebind) {
        let Self { platform, conversation, account, until } = self;
        (platform, Rebind { affinity: conversation, binding: Binding { account, until } })
    }
}
