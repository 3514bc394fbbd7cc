//! A pool of accounts for tests: each states only what it is about.

use std::collections::BTreeMap;
use std::time::Duration;

use relay_domain::{
    AccountBinding, AccountGroupId, AccountHealth, AccountId, AccountKind, ModelMap, ModelName,
    NanoUsd, Penalty, PenaltyReason, Platform, Priority, Timestamp,
};

use crate::{Ask, Candidate, Policy, Ranking, Readiness, rank};

/// The moment of every decision.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// The moment so many seconds later.
pub(crate) fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

pub(crate) fn id(text: &str) -> AccountId {
    AccountId::try_from(text).expect("test ids are valid")
}

/// A group of accounts.
pub(crate) fn group(text: &str) -> AccountGroupId {
    AccountGroupId::try_from(text).expect("test ids are valid")
}

/// A map that serves one model under its own name.
pub(crate) fn model_map(model: &str) -> ModelMap {
    ModelMap::new(BTreeMap::from([(model.to_owned(), model.to_owned())]))
}

/// The health of an account that rests until so many seconds from now, or without end.
pub(crate) fn rest(reason: PenaltyReason, until: Option<u64>) -> AccountHealth {
    AccountHealth { penalty: Some(penalty(reason, until)), models: BTreeMap::new() }
}

fn penalty(reason: PenaltyReason, until: Option<u64>) -> Penalty {
    Penalty { reason, since: Timestamp::EPOCH, until: until.map(at), streak: 1 }
}

/// An ask for `sonnet` by a key that is bound to nothing.
pub(crate) fn ask<'a>() -> Ask<'a> {
    Ask {
        platform: Platform::ClaudeConsole,
        model: "sonnet",
        now: NOW,
        day_ends: Some(at(9)),
        tried: &[],
        binding: &AccountBinding::Pool,
        restricted_models: &[],
        sticky: None,
    }
}

/// The decision over `members` at the first turn.
pub(crate) fn ranking(members: &[Member], ask: &Ask<'_>) -> Ranking {
    rank(&candidates(members), ask, Policy::RoundRobin, 0)
}

pub(crate) fn candidates(members: &[Member]) -> Vec<Candidate<'_>> {
    members.iter().map(Member::candidate).collect()
}

/// What a candidate borrows from.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: AccountId,
    pub(crate) platform: Platform,
    pub(crate) priority: Priority,
    pub(crate) is_active: bool,
    pub(crate) schedulable: bool,
    pub(crate) kind: AccountKind,
    pub(crate) groups: Vec<AccountGroupId>,
    pub(crate) health: AccountHealth,
    pub(crate) models: ModelMap,
    pub(crate) daily_quota: Option<NanoUsd>,
    pub(crate) daily_spent: NanoUsd,
    pub(crate) in_flight: u32,
    pub(crate) max_concurrent: Option<u32>,
    pub(crate) subscription_ends: Option<Timestamp>,
    pub(crate) readiness: Readiness,
    pub(crate) trial_in_flight: bool,
}

impl Member {
    /// A healthy, idle, shared account that serves every model.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            id: id(name),
            platform: Platform::ClaudeConsole,
            priority: Priority::DEFAULT,
            is_active: true,
            schedulable: true,
            kind: AccountKind::Shared,
            groups: Vec::new(),
            health: AccountHealth::default(),
            models: ModelMap::default(),
            daily_quota: None,
            daily_spent: NanoUsd::ZERO,
            in_flight: 0,
            max_concurrent: None,
            subscription_ends: None,
            readiness: Readiness::Ready,
            trial_in_flight: false,
        }
    }

    /// The same with a change.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn set_priority(&mut self, priority: u8) {
        self.priority = Priority::try_from(priority).expect("test priorities are valid");
    }

    /// Lets it rest from one model.
    pub(crate) fn rest_from(&mut self, model: &str, until: u64) {
        let model = ModelName::try_from(model).expect("test models are valid");
        self.health.models.insert(model, penalty(PenaltyReason::ModelUnknown, Some(until)));
    }

    pub(crate) fn candidate(&self) -> Candidate<'_> {
        Candidate {
            id: &self.id,
            platform: self.platform,
            priority: self.priority,
            is_active: self.is_active,
            schedulable: self.schedulable,
            kind: self.kind,
            groups: &self.groups,
            health: &self.health,
            models: &self.models,
            daily_quota: self.daily_quota,
            daily_spent: self.daily_spent,
            in_flight: self.in_flight,
            max_concurrent: self.max_concurrent,
            subscription_ends: self.subscription_ends,
            readiness: self.readiness,
            trial_in_flight: self.trial_in_flight,
        }
    }
}
