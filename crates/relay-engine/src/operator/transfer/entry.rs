//! One line of the file.

use relay_domain::{
    AccountId, AuditEntry, GroupId, KeyId, ModelName, NanoUsd, Period, RecordedEvent,
    RequestRecord, Timestamp, TokenUsage,
};
use relay_store::{AdminCredentials, Counted, PasswordHash, StoredRecord, UsageScope, UsageTotals};
use serde::{Deserialize, Serialize};

use super::account_form::AccountForm;
use super::key_form::KeyForm;
use super::limit_form::{BindingForm, LimitForm};
use super::operator_forms::{AccountGroupForm, GroupForm, SettingsForm, TokenForm};
use super::statistics_form::{ProgressForm, SegmentForm};
use super::{Contents, Section};

/// The form of the entries. Raised when there are sections that an older version cannot read, or an entry
/// changes its meaning. Older forms are read as well: 1 has neither groups nor anything below records,
/// 2 has no groups of accounts, nor keys that are bound to them, 3 no users who are disabled and no presumed costs.
pub(super) const FORM: u32 = 4;

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
    /// A group of accounts.
    AccountGroup(AccountGroupForm),
    /// A group of API keys.
    Group(GroupForm),
    /// A token of automation.
    Token(TokenForm),
    /// A document of settings.
    Settings(SettingsForm),
    /// What is known of someone's limits.
    Limit(LimitForm),
    /// A conversation that is bound.
    Binding(BindingForm),
    /// A segment of the statistics.
    Segment(SegmentForm),
    /// How far the statistics were made, after all of its segments.
    Progress(ProgressForm),
    /// An entry of the trail of changes.
    Audit(Box<AuditEntry>),
    /// What an operator should hear of.
    Event(Box<RecordedEvent>),
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
    #[serde(default)]
    presumed: NanoUsd,
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
        let section = match self {
            Self::Head(_) => return,
            Self::Login(_) => Section::Login,
            Self::Key(_) => Section::Key,
            Self::Account(account) => {
                if !account.is_open() {
                    contents.unopened.push(account.id().clone());
                }
                Section::Account
            }
            Self::Counter(_) => Section::Counter,
            Self::Record(_) => Section::Record,
            Self::AccountGroup(_) => Section::AccountGroup,
            Self::Group(_) => Section::Group,
            Self::Token(_) => Section::Token,
            Self::Settings(_) => Section::Settings,
            Self::Limit(_) => Section::Limit,
            Self::Binding(_) => Section::Binding,
            Self::Segment(_) | Self::Progress(_) => Section::Statistics,
            Self::Audit(_) => Section::Audit,
            Self::Event(_) => Section::Event,
        };
        *contents.counts.entry(section).or_default() += 1;
    }

    /// Whether what it holds can be made of it.
    pub(super) fn makes_sense(self) -> bool {
        match self {
            Self::Head(_) => false,
            Self::Key(key) => key.into_key().is_some(),
            Self::Counter(counter) => counter.into_counted().is_some(),
            Self::Token(token) => token.into_token().is_some(),
            Self::Settings(settings) => settings.into_document().is_some(),
            Self::Segment(segment) => segment.into_segment().is_some(),
            Self::Progress(progress) => progress.into_progress().is_some(),
            Self::Login(_)
            | Self::Account(_)
            | Self::Record(_)
            | Self::AccountGroup(_)
            | Self::Group(_)
            | Self::Limit(_)
            | Self::Binding(_)
            | Self::Audit(_)
            | Self::Event(_) => true,
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
    fn from(Counted { scope, period, totals, claude, presumed }: Counted) -> Self {
        let UsageTotals { requests, tokens, cost, unpriced_requests, charged } = totals;
        let scope = match scope {
            UsageScope::Key(id) => ScopeForm::Key(id),
            UsageScope::Account(id) => ScopeForm::Account(id),
            UsageScope::Model(name) => ScopeForm::Model(name),
            UsageScope::Group(id) => ScopeForm::Group(id),
        };
        let period = period.to_string();
        Self { scope, period, requests, tokens, cost, unpriced_requests, charged, claude, presumed }
    }
}

impl CounterForm {
    /// The counter, if its period is one.
    pub(super) fn into_counted(self) -> Option<Counted> {
        let Self {
            scope,
            period,
            requests,
            tokens,
            cost,
            unpriced_requests,
            charged,
            claude,
            presumed,
        } = self;
        let scope = match scope {
            ScopeForm::Key(id) => UsageScope::Key(id),
            ScopeForm::Account(id) => UsageScope::Account(id),
            ScopeForm::Model(name) => UsageScope::Model(name),
            ScopeForm::Group(id) => UsageScope::Group(id),
        };
        let totals = UsageTotals { requests, tokens, cost, unpriced_requests, charged };
        Some(Counted { scope, period: Period::parse(&period)?, totals, claude, presumed })
    }
}
