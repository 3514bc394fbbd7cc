//! The families of counters: whose usage is counted, under which names, in which indexes.
//!
//! A new family is a variant here with its names, and a row of FAMILIES in `settle.lua` with the fields and
//! lifetimes of its hashes, in the same order.

use std::sync::Arc;

use relay_domain::{
    AccountId, GroupId, KeyId, NanoUsd, Period, PeriodKind, RequestRecord, Timestamp,
};
use relay_store::UsageScope;

use super::amounts::Amounts;
use super::model_name;
use crate::keyspace::{Index, Keyspace};

/// The minute since 1970 that a moment lies in.
pub(crate) fn minute(moment: Timestamp) -> u64 {
    moment.as_millis() / 60_000
}

/// Whose usage is counted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Counted {
    Key(KeyId),
    Group(GroupId),
    Model(Arc<str>),
    KeyModel(KeyId, Arc<str>),
    Account(AccountId),
    AccountModel(AccountId, Arc<str>),
    /// All requests.
    Everything,
    /// All requests of a minute since 1970.
    Minute(u64),
}

impl Counted {
    /// Everything that a request counts for which ended in this minute since 1970.
    pub(crate) fn by(record: &RequestRecord, minute: u64) -> Vec<Self> {
        let served = record.served_model.as_ref().unwrap_or(&record.model);
        let model: Arc<str> = model_name::counted(served).into();
        let mut counted = Vec::with_capacity(8);
        counted.push(Self::Key(record.key.clone()));
        counted.push(Self::KeyModel(record.key.clone(), Arc::clone(&model)));
        if let Some(account) = &record.account {
            counted.push(Self::Account(account.clone()));
            counted.push(Self::AccountModel(account.clone(), Arc::clone(&model)));
        }
        counted.push(Self::Model(model));
        counted.extend(record.group.clone().map(Self::Group));
        counted.push(Self::Everything);
        counted.push(Self::Minute(minute));
        counted
    }

    /// Its row of FAMILIES in `settle.lua`.
    pub(crate) fn family(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Account(_) => "account",
            Self::Group(_) => "group",
            Self::Model(_) => "model",
            Self::KeyModel(..) => "key_model",
            Self::AccountModel(..) => "account_model",
            Self::Everything => "global",
            Self::Minute(_) => "minute",
        }
    }

    /// What its fields begin with in a hash of others.
    pub(crate) fn stem(&self) -> String {
        match self {
            Self::AccountModel(_, model) => format!("model:{model}:"),
            Self::Key(_)
            | Self::Group(_)
            | Self::Model(_)
            | Self::KeyModel(..)
            | Self::Account(_)
            | Self::Everything
            | Self::Minute(_) => String::new(),
        }
    }

    /// Its hashes, in the order of its row.
    pub(crate) fn names(&self, periods: [Period; 4], keyspace: &Keyspace) -> Vec<String> {
        let [total, month, day, hour] = periods;
        let of_scope = |scope: &UsageScope| periods.map(|period| keyspace.counter(scope, period));
        match self {
            Self::Key(key) => of_scope(&UsageScope::Key(key.clone())).into(),
            Self::Group(group) => of_scope(&UsageScope::Group(group.clone())).into(),
            Self::Account(account) => of_scope(&UsageScope::Account(account.clone())).into(),
            Self::Model(model) => periods.map(|p| keyspace.model_counter(model, p)).into(),
            Self::KeyModel(key, model) => {
                periods.map(|p| keyspace.key_model_counter(key, model, p)).into()
            }
            Self::AccountModel(account, model) => {
                let by_model =
                    [month, day, hour].map(|p| keyspace.account_model_counter(account, model, p));
                let among_others = keyspace.counter(&UsageScope::Account(account.clone()), hour);
                std::iter::once(among_others).chain(by_model).collect()
            }
            Self::Everything => [total, month, day].map(|p| keyspace.global_counter(p)).into(),
            Self::Minute(minute) => vec![keyspace.minute_counter(*minute)],
        }
    }

    /// What of `amounts` counts on its budgets of Claude models.
    pub(crate) fn claude(&self, amounts: &Amounts) -> NanoUsd {
        if let Self::Account(_) = self {
            amounts.claude_cost + amounts.claude_presumed
        } else {
            amounts.claude_charged
        }
    }

    /// The index of v1 in which it stands, as what, and of which periods there are such indexes.
    pub(crate) fn indexed(&self) -> Option<(Index, String, &'static [PeriodKind])> {
        const BRIEF: &[PeriodKind] = &[PeriodKind::Day, PeriodKind::Hour];
        const ALL: &[PeriodKind] = &[PeriodKind::Day, PeriodKind::Hour, PeriodKind::Month];
        match self {
            Self::Key(key) => Some((Index::Keys, key.to_string(), BRIEF)),
            Self::Model(model) => Some((Index::Models, model.to_string(), ALL)),
            Self::KeyModel(key, model) => Some((Index::KeyModels, format!("{key}:{model}"), BRIEF)),
            Self::Account(account) => Some((Index::Accounts, account.to_string(), BRIEF)),
            Self::AccountModel(account, model) => {
                Some((Index::AccountModels, format!("{account}:{model}"), BRIEF))
            }
            Self::Group(_) | Self::Everything | Self::Minute(_) => None,
        }
    }
}
