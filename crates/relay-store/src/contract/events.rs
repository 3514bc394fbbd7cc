//! Events: kept once, found by what they are about, and not for ever.

use relay_domain::{
    Event, EventId, EventKind, LimitKind, LimitScope, LimitState, PenaltyReason, PeriodKind,
    RecordedEvent, Timestamp, UnpricedTreatment,
};

use super::fixture::{NOW, account_id, at, calendar, group_id, key_id, model};
use crate::{EVENT_AGE, EVENT_CAPACITY, EventQuery, MODELS_A_DAY, Stores};

fn event(at: Timestamp, count: u16, kind: EventKind) -> RecordedEvent {
    RecordedEvent { id: EventId::new(at, count, 7), event: Event { at, kind } }
}

fn threshold(scope: LimitScope) -> EventKind {
    let state = LimitState {
        limit: LimitKind::DailyCost,
        used: 8,
        held: 1,
        allowed: 10,
        resets_at: Some(at(9)),
    };
    EventKind::BudgetThreshold { scope, percent: 80, state }
}

fn recovered(account: &str) -> EventKind {
    let reason = PenaltyReason::RateLimited;
    EventKind::AccountRecovered { account: account_id(account), reason }
}

fn unpriced(name: &str) -> EventKind {
    EventKind::ModelUnpriced {
        model: model(name),
        key: key_id("k"),
        account: Some(account_id("a")),
        treatment: UnpricedTreatment::Fallback,
    }
}

/// Events read back, the newest first, by what is asked for, and page by page.
pub async fn events_are_read_newest_first(stores: &Stores) {
    let unpriced = unpriced("m");
    let written = [
        event(at(1), 0, threshold(LimitScope::Key(key_id("k")))),
        event(at(1), 1, threshold(LimitScope::Group(group_id("g")))),
        event(at(2), 2, threshold(LimitScope::Account(account_id("a")))),
        event(at(3), 3, unpriced),
        event(at(4), 4, recovered("b")),
    ];
    stores.events.append(&written[2..]).await.unwrap();
    stores.events.append(&written[..3]).await.unwrap();
    stores.events.append(&[]).await.unwrap();
    let all = EventQuery::default;
    let cases = [
        ("all", all(), vec![4, 3, 2, 1, 0]),
        ("by kind", EventQuery { kind: Some("budget_threshold".into()), ..all() }, vec![2, 1, 0]),
        ("by key", EventQuery { key: Some(key_id("k")), ..all() }, vec![3, 0]),
        ("by group", EventQuery { group: Some(group_id("g")), ..all() }, vec![1]),
        ("by account", EventQuery { account: Some(account_id("a")), ..all() }, vec![3, 2]),
        ("by time", EventQuery { from: Some(at(2)), to: Some(at(4)), ..all() }, vec![3, 2]),
        (
            "by key and kind",
            EventQuery { key: Some(key_id("k")), kind: Some("model_unpriced".into()), ..all() },
            vec![3],
        ),
        ("none", EventQuery { key: Some(key_id("a")), ..all() }, vec![]),
    ];
    for (name, query, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|n: usize| written[n].clone()).collect();
        let page = stores.events.page(&EventQuery { limit: 10, ..query.clone() }).await.unwrap();
        assert_eq!((page.events, page.next), (expected.clone(), None), "{name}");
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let query = EventQuery { limit: 1, before, ..query.clone() };
            let page = stores.events.page(&query).await.unwrap();
            seen.extend(page.events);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "{name}, one at a time");
    }
}

/// No more are kept than there may be, and none longer than it may be; the oldest go.
pub async fn events_are_bounded_by_count_and_age(stores: &Stores) {
    let count = u64::try_from(EVENT_CAPACITY).unwrap() + 5;
    let many: Vec<_> = (0..count).map(|n| event(at(n), 0, recovered("a"))).collect();
    for batch in many.chunks(500) {
        stores.events.append(batch).await.unwrap();
    }
    let oldest = EventQuery { to: Some(at(7)), limit: 10, ..EventQuery::default() };
    let kept = stores.events.page(&oldest).await.unwrap().events;
    assert_eq!(kept, [many[6].clone(), many[5].clone()]);

    let late =
        event(NOW.plus(EVENT_AGE).plus(std::time::Duration::from_millis(6)), 0, recovered("b"));
    stores.events.append(std::slice::from_ref(&late)).await.unwrap();
    let kept = stores.events.page(&oldest).await.unwrap().events;
    assert_eq!(kept, [many[6].clone()]);
    let newest = EventQuery { limit: 1, ..EventQuery::default() };
    assert_eq!(stores.events.page(&newest).await.unwrap().events, [late]);
}

/// The first event about a model on a day is added, and no other of that day; the day is the calendar's.
pub async fn a_model_is_told_of_once_a_day(stores: &Stores) {
    let before = |moment: Timestamp| Timestamp::from_millis(moment.as_millis() - 1);
    let day = |moment| calendar().period(PeriodKind::Day, moment);
    let minute = |number: u64| Timestamp::from_millis((NOW.as_millis() / 60_000 + number) * 60_000);
    let midnight =
        (1..=1_440).map(minute).find(|moment| day(*moment) != day(before(*moment))).unwrap();
    let before = before(midnight);
    let cases = [
        ("the first", event(before, 0, unpriced("m")), true),
        ("the same again, as after an answer that was lost", event(before, 0, unpriced("m")), true),
        ("another one of that day", event(before, 1, unpriced("m")), false),
        ("an earlier one of that day", event(at(0), 2, unpriced("m")), false),
        ("another model", event(before, 3, unpriced("n")), true),
        ("the next day", event(midnight, 4, unpriced("m")), true),
        ("that day still", event(before, 5, unpriced("m")), false),
        ("another kind, whenever it happens", event(midnight, 6, recovered("a")), true),
        ("the same kind again", event(midnight, 7, recovered("a")), true),
    ];
    let mut expected = Vec::new();
    for (name, event, is_added) in cases {
        assert_eq!(stores.events.append_of_the_day(&event).await.unwrap(), is_added, "{name}");
        if is_added && !expected.contains(&event) {
            expected.push(event);
        }
    }
    expected.sort_unstable_by_key(|event| std::cmp::Reverse(event.id));
    let all = EventQuery { limit: 99, ..EventQuery::default() };
    assert_eq!(stores.events.page(&all).await.unwrap().events, expected);
}

/// Of instances that see a model at the same time one tells of it.
pub async fn of_instances_at_once_one_tells(stores: &Stores) {
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..16 {
        let (events, event) = (stores.events.clone(), event(at(1), number, unpriced("m")));
        asking.spawn(async move { events.append_of_the_day(&event).await.unwrap() });
    }
    let told = asking.join_all().await;
    assert_eq!(told.into_iter().filter(|is_told| *is_told).count(), 1);
    let all = EventQuery { limit: 99, ..EventQuery::default() };
    assert_eq!(stores.events.page(&all).await.unwrap().events.len(), 1);
}

/// Names that clients make up do not push out what else was told.
pub async fn no_more_models_are_told_of_in_a_day_than_may_be(stores: &Stores) {
    let tell = async |number: usize, moment| {
        let count = u16::try_from(number).unwrap();
        let event = event(moment, count, unpriced(&format!("m-{number}")));
        stores.events.append_of_the_day(&event).await.unwrap()
    };
    for number in 0..MODELS_A_DAY {
        assert!(tell(number, at(1)).await, "{number}");
    }
    assert!(!tell(MODELS_A_DAY, at(1)).await, "one too many");
    assert!(tell(0, at(1)).await, "what was told was told");
    assert!(tell(MODELS_A_DAY, at(24 * 3_600_000)).await, "the next day has its own");
}
