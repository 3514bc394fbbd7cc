//! One line of the file.

use relay_domain::{
    AccountId, GroupId, KeyId, ModelName, NanoUsd, Period, RequestRecord, Timestamp, TokenUsage,
};
use relay_store::{AdminCredentials, Counted, PasswordHash, StoredRecord, UsageScope, UsageTotals};
use serde::{Deserialize, Serialize};

use super::Contents;
use super::account_form::AccountForm;
use super::key_form::KeyForm;

/// The form of the entries. Raised when an entry changes its meaning.
pub(super) const FORM: u32 = 1;

/// One line of the file, by its section.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// The first line.
    Head(Head),
    /// The administrator's login.
    Login(LoginForm),
    /// An API key.
    Key(Box<KeyForm>),
    /// An upstream account.
    Account(Box<AccountForm>),
    /// What a scope used in a period.
    Counter(CounterForm),
    /// The record of a request.
    Record(Box<StoredRecord>),
}

/// What the file says of itself.
#[derive(Deserialize, Serialize)]
pub(super) struct Head {
    /// See [`FORM`].
    pub(super) form: u32,
    /// The version of Relay that made it.
    pub(super) relay: String,
    pub(super) exported_at: Timestamp,
    /// How far the calendar of the counters is ahead of UTC.
    pub(super) offset_minutes: i32,
    /// The values of `ENCRYPTION_KEY` under which keys are digested, the present one first.
    pub(super) encryption_keys: Vec<String>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct LoginForm {
    username: String,
    password_hash: String,
    session_epoch: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Deserialize, Serialize)]
pub(super) struct CounterForm {
    #[serde(flatten)]
    scope: ScopeForm,
    /// As it prints; empty for the total.
    period: String,
    requests: u64,
    tokens: TokenUsage,
    cost: NanoUsd,
    unpriced_requests: u64,
    charged: NanoUsd,
    claude: NanoUsd,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum ScopeForm {
    Key(KeyId),
    Account(AccountId),
    Model(ModelName),
    Group(GroupId),
}

impl Entry {
    /// Counts it.
    pub(super) fn count(&self, contents: &mut Contents) {
        match self {
            Self::Head(_) => {}
            Self::Login(_) => contents.logins += 1,
            Self::Key(_) => contents.keys += 1,
            Self::Account(account) => {
                contents.accounts += 1;
                if !account.is_open() {
                    contents.unopened.push(account.id().clone());
                }
            }
            Self::Counter(_) => contents.counters += 1,
            Self::Record(_) => contents.records += 1,
        }
    }

    pub(super) fn record(record: RequestRecord) -> Self {
        Self::Record(Box::new(record.into()))
    }
}

impl From<AdminCredentials> for LoginForm {
    fn from(login: AdminCredentials) -> Self {
        let AdminCredentials { username, password_hash, session_epoch, created_at, updated_at } =
            login;
        let password_hash = password_hash.as_stored().to_owned();
        Self { username, password_hash, session_epoch, created_at, updated_at }
    }
}

impl From<LoginForm> for AdminCredentials {
    fn from(form: LoginForm) -> Self {
        let LoginForm { username, password_hash, session_epoch, created_at, updated_at } = form;
        let password_hash = PasswordHash::new(password_hash);
        Self { username, password_hash, session_epoch, created_at, updated_at }
    }
}

impl From<Counted> for CounterForm {
    fn from(Counted { scope, period, totals, claude }: Counted) -> Self {
        let UsageTotals { requests, tokens, cost, unpriced_requests, charged } = totals;
        let scope = match scope {
            UsageScope::Key(id) => ScopeForm::Key(id),
            UsageScope::Account(id) => ScopeForm::Account(id),
            UsageScope::Model(name) => ScopeForm::Model(name),
            UsageScope::Group(id) => ScopeForm::Group(id),
        };
        let period = period.to_string();
        Self { scope, period, requests, tokens, cost, unpriced_requests, charged, claude }
    }
}

impl CounterForm {
    /// The counter, if its period is one.
    pub(super) fn into_counted(self) -> Option<Counted> {
        let Self { scope, period, requests, tokens, cost, unpriced_requests, charged, claude } =
            self;
        let scope = match scope {
            ScopeForm::Key(id) => UsageScope::Key(id),
            ScopeForm::Account(id) => UsageScope::Account(id),
            ScopeForm::Model(name) => UsageScope::Model(name),
            ScopeForm::Group(id) => UsageScope::Group(id),
        };
        let totals = UsageTotals { requests, tokens, cost, unpriced_requests, charged };
        Some(Counted { scope, period: Period::parse(&period)?, totals, claude })
    }
}
