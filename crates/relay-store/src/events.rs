//! Where events are kept: what an operator should hear of, and may look up later.

use std::time::Duration;

use async_trait::async_trait;
use relay_domain::{AccountId, EventId, GroupId, KeyId, RecordedEvent, Timestamp};

use crate::StoreError;

/// How many events are kept; the oldest go first.
pub const EVENT_CAPACITY: usize = 10_000;
/// About how many models there are events of one kind on a day, where there is one a day for each model.
/// Clients choose their names.
pub const MODELS_A_DAY: usize = 200;
/// How long an event is kept.
pub const EVENT_AGE: Duration = Duration::from_hours(24 * 90);

/// Which events, the newest first. What is `None` is not looked at.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Of this kind, by its [name](relay_domain::EventKind::name).
    pub kind: Option<String>,
    /// About this API key.
    pub key: Option<KeyId>,
    /// About this group.
    pub group: Option<GroupId>,
    /// About this account.
    pub account: Option<AccountId>,
    /// At this moment or later.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    /// Only those with a smaller id: the last one of the page before.
    pub before: Option<EventId>,
    /// How many at most.
    pub limit: usize,
}

impl EventQuery {
    /// Whether `event` is about what it asks for, its time and id aside.
    pub fn matches(&self, event: &RecordedEvent) -> bool {
        let kind = &event.event.kind;
        self.kind.as_ref().is_none_or(|name| name == kind.name())
            && self.key.as_ref().is_none_or(|key| kind.key() == Some(key))
            && self.group.as_ref().is_none_or(|group| kind.group() == Some(group))
            && self.account.as_ref().is_none_or(|account| kind.account() == Some(account))
    }

    /// What every id on the page is below; `None`: there is no such bound.
    pub fn below(&self) -> Option<EventId> {
        let to = self.to.map(EventId::first_at);
        [self.before, to].into_iter().flatten().min()
    }

    /// The smallest id that the page may have; `None`: there is no such bound.
    pub fn least(&self) -> Option<EventId> {
        self.from.map(EventId::first_at)
    }
}

/// A part of the events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventPage {
    /// The newest first. May be fewer than asked for though there are more.
    pub events: Vec<RecordedEvent>,
    /// What to ask for next, as [`EventQuery::before`]; `None`: that was all.
    pub next: Option<EventId>,
}

/// The first id that is not too old when the newest of `events` has happened.
pub fn oldest_kept(events: &[RecordedEvent]) -> EventId {
    let newest = events.iter().map(|event| event.event.at).max().unwrap_or_default();
    let age = u64::try_from(EVENT_AGE.as_millis()).unwrap_or(u64::MAX);
    EventId::first_at(Timestamp::from_millis(newest.as_millis().saturating_sub(age)))
}

/// Events. Bounded by [`EVENT_CAPACITY`] and [`EVENT_AGE`].
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EventRepository: Send + Sync {
    /// Adds events; one that is there already stays as it is. Drops what has outlived its bound.
    async fn append(&self, events: &[RecordedEvent]) -> Result<(), StoreError>;

    /// Adds an event that is told [once a day](relay_domain::EventKind::model_of_the_day) for each model, in
    /// the store's calendar and over all instances. `false`: the day has another one of its kind about its
    /// model, or one about [`MODELS_A_DAY`] others, and nothing happened. Asked again with the same event, it
    /// says the same again. An event of any other kind is added as by [`append`](Self::append).
    async fn append_of_the_day(&self, event: &RecordedEvent) -> Result<bool, StoreError>;

    /// The events that `query` asks for.
    async fn page(&self, query: &EventQuery) -> Result<EventPage, StoreError>;
}
