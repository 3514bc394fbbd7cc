//! What [`Corrections`](crate::Corrections) owe whoever finds that something had another price.

use relay_domain::{
    LimitKind, LimitState, Limits, NanoUsd, PeriodKind, PeriodStarts, RequestRecord, Timestamp,
    UsageSource,
};

use super::fixture::{
    account_id, admit_request, at, at_once, calendar, group_id, key_id, model, record, request_id,
    usage,
};
use super::spender::{BUDGETS, Spender, Whose, amount, limit, with_limit};
use crate::statistics::{Dimension, Grain, StatisticsFilter, StatisticsQuery};
use crate::{
    AdmitRequest, Corrected, Correction, Price, Settled, Settlement, Stores, Uncorrectable,
    UsageScope, UsageTotals,
};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// A price of so many thousandths of a dollar at the provider, and half as much again for the budgets.
fn price(millis: Option<i64>) -> Price {
    let nanos = |millis: i64| NanoUsd::from_nanos(millis * 1_000_000);
    Price {
        cost: millis.map(nanos),
        cost_by_kind: None,
        charged: millis.map(|millis| nanos(millis) + NanoUsd::from_nanos(millis * 500_000)),
    }
}

fn with_price(record: &RequestRecord, price: Price) -> RequestRecord {
    let Price { cost, cost_by_kind, charged } = price;
    let presumed_cost = record.presumed_cost.filter(|_| cost.is_none());
    RequestRecord { cost, presumed_cost, cost_by_kind, charged, ..record.clone() }
}

fn correction(before: &RequestRecord, price: Price) -> Correction {
    Correction::new(before.clone(), price, PeriodStarts::default()).unwrap()
}

async fn settle(stores: &Stores, record: &RequestRecord) {
    let now = record.settled_at.unwrap();
    let group = record.group.clone().map(|group| (group, Limits::default()));
    let asked = admit_request(0, record.key.as_str(), now);
    let asked = AdmitRequest { request: record.id, group, model: record.model.clone(), ..asked };
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let end = super::fixture::settlement(record.clone(), now);
    assert!(stores.ledger.settle(&end).await.unwrap().is_first());
}

/// Requests of two keys, on two days, of which some have no price.
fn history() -> Vec<RequestRecord> {
    let of = |number: u8, key: &str, ended: u64, served: &str, millis: Option<i64>| {
        let group = (key == "k1").then(|| group_id("team"));
        let account = (number != 3).then(|| account_id(["one", "two"][usize::from(number % 2)]));
        let record = RequestRecord {
            id: request_id(number),
            group,
            account,
            model: model(served),
            served_model: (number != 2).then(|| model(served)),
            usage: usage(u64::from(number) + 1),
            settled_at: Some(at(ended)),
            ..record(number, key)
        };
        with_price(&record, price(millis))
    };
    vec![
        of(0, "k1", 1, "claude-unheard-of", None),
        of(1, "k1", 2, "claude-unheard-of", None),
        of(2, "k2", HOUR, "claude-sonnet-4-5", Some(70)),
        of(3, "k2", DAY, "gpt-5", Some(9)),
        of(4, "k1", DAY + HOUR, "claude-unheard-of", None),
        of(5, "k1", DAY + 2 * HOUR, "claude-sonnet-4-5", Some(12)),
    ]
}

fn sum<'a>(records: impl IntoIterator<Item = &'a RequestRecord>) -> UsageTotals {
    records.into_iter().fold(UsageTotals::default(), |sum, record| UsageTotals {
        requests: sum.requests + 1,
        tokens: sum.tokens + record.usage,
        cost: sum.cost + record.cost.unwrap_or_default(),
        charged: sum.charged + record.charged.unwrap_or_default(),
        unpriced_requests: sum.unpriced_requests + u64::from(record.cost.is_none()),
    })
}

fn is_of(record: &RequestRecord, scope: &UsageScope) -> bool {
    match scope {
        UsageScope::Key(key) => *key == record.key,
        UsageScope::Account(account) => Some(account) == record.account.as_ref(),
        UsageScope::Model(model) => model == record.served_model.as_ref().unwrap_or(&record.model),
        UsageScope::Group(group) => Some(group) == record.group.as_ref(),
    }
}

/// Everything that is counted is what the records say.
async fn check(stores: &Stores, records: &[RequestRecord], when: &str) {
    for record in records {
        let found = stores.usage.record(record.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(record), "{when}");
    }
    let scopes = [
        UsageScope::Key(key_id("k1")),
        UsageScope::Key(key_id("k2")),
        UsageScope::Account(account_id("one")),
        UsageScope::Account(account_id("two")),
        UsageScope::Model(model("claude-unheard-of")),
        UsageScope::Model(model("claude-sonnet-4-5")),
        UsageScope::Group(group_id("team")),
    ];
    for scope in &scopes {
        for kind in PeriodKind::ALL {
            for ended in records.iter().filter_map(|record| record.settled_at) {
                let period = calendar().period(kind, ended);
                let is_in = |record: &&RequestRecord| {
                    is_of(record, scope)
                        && calendar().period(kind, record.settled_at.unwrap()) == period
                };
                let found = stores.usage.totals(scope, period).await.unwrap();
                let expected = sum(records.iter().filter(is_in));
                assert_eq!(found, expected, "{when}: {scope:?} in {period:?}");
            }
        }
    }
    for by in Dimension::ALL {
        for grain in [Grain::Whole, Grain::Month, Grain::Day, Grain::Hour] {
            let range = (at(0), at(3 * DAY));
            let filter = StatisticsFilter::default();
            let query =
                StatisticsQuery::new((calendar(), at(3 * DAY)), range, grain, &[by], filter);
            let found = stores.usage.statistics(&query.unwrap()).await.unwrap();
            assert_eq!(found.total, sum(records), "{when}: by {by:?} and {grain:?}");
            let rows = found.rows.unwrap();
            for row in &rows {
                let is_in = |record: &&RequestRecord| {
                    let ended = record.settled_at.unwrap();
                    let served = record.served_model.as_ref().unwrap_or(&record.model);
                    row.period
                        .is_none_or(|period| calendar().period(period.kind(), ended) == period)
                        && match by {
                            Dimension::Key => row.key.as_ref() == Some(&record.key),
                            Dimension::Group => row.group == record.group,
                            Dimension::Account => row.account == record.account,
                            Dimension::Model => row.model.as_ref() == Some(served),
                        }
                };
                assert_eq!(row.totals, sum(records.iter().filter(is_in)), "{when}: {row:?}");
            }
        }
    }
}

/// When, which are corrected to what, and when the ledger is reaped before.
type Step<'a> = (&'a str, &'a [(usize, Option<i64>)], u64);

/// A correction moves statistics and every counter by the difference, whether they have been folded by then
/// or not, and the record tells the same.
pub async fn a_correction_moves_all_that_a_record_counts_in(stores: &Stores) {
    let mut records = history();
    for record in &records {
        settle(stores, record).await;
    }
    check(stores, &records, "before any correction").await;
    let steps: [Step<'_>; 3] = [
        ("not folded", &[(0, Some(30)), (2, Some(100)), (4, Some(5))], 0),
        ("folded", &[(1, Some(2)), (5, Some(11)), (3, Some(1)), (2, Some(1))], 2 * HOUR),
        ("rolled up", &[(0, Some(31)), (1, None), (4, Some(0))], 2 * DAY + HOUR),
    ];
    for (when, corrected, reaped_at) in steps {
        if reaped_at > 0 {
            stores.ledger.reap(at(reaped_at), 10).await.unwrap();
        }
        let corrections: Vec<_> = corrected
            .iter()
            .map(|(place, millis)| correction(&records[*place], price(*millis)))
            .collect();
        let made = stores.corrections.correct(&corrections, at(2 * DAY)).await.unwrap();
        assert_eq!(made, vec![Corrected::Made; corrected.len()], "{when}");
        for (place, millis) in corrected {
            records[*place] = with_price(&records[*place], price(*millis));
        }
        check(stores, &records, when).await;
    }
    stores.ledger.reap(at(2 * DAY + HOUR), 10).await.unwrap();
    check(stores, &records, "in the end").await;
}

/// A correction that is repeated, or made by several at once, moves nothing twice.
pub async fn a_correction_is_made_once(stores: &Stores) {
    let mut records = history();
    for record in &records {
        settle(stores, record).await;
    }
    let corrections: Vec<_> = [(0, 30), (2, 100)]
        .map(|(at, millis)| correction(&records[at], price(Some(millis))))
        .into();
    let made = at_once((0..8).map(|_| {
        let (port, corrections) = (stores.corrections.clone(), corrections.clone());
        async move { port.correct(&corrections, at(2 * DAY)).await.unwrap() }
    }))
    .await;
    let all_made = made.iter().flatten().filter(|made| **made == Corrected::Made).count();
    assert_eq!(all_made, 2, "{made:?}");
    // A run that was interrupted had made some of them.
    let rest = correction(&records[1], price(Some(3)));
    let again = [corrections[0].clone(), rest, corrections[1].clone()];
    let made = stores.corrections.correct(&again, at(2 * DAY)).await.unwrap();
    assert_eq!(made, [Corrected::NotAsRead, Corrected::Made, Corrected::NotAsRead]);
    for (place, millis) in [(0, 30), (1, 3), (2, 100)] {
        records[place] = with_price(&records[place], price(Some(millis)));
    }
    check(stores, &records, "made once").await;
}

/// What is another by now, or was never there, is left alone; what counts nowhere cannot be corrected.
pub async fn only_what_was_read_is_corrected(stores: &Stores) {
    let records = history();
    for record in &records {
        settle(stores, record).await;
    }
    let others = [
        RequestRecord { id: request_id(200), ..records[0].clone() },
        RequestRecord { status: 201, ..records[0].clone() },
        with_price(&records[2], price(Some(71))),
    ];
    let corrections = others.map(|other| correction(&other, price(Some(1_000))));
    let made = stores.corrections.correct(&corrections, at(2 * DAY)).await.unwrap();
    assert_eq!(made, [Corrected::NotAsRead; 3]);
    assert_eq!(stores.corrections.correct(&[], at(2 * DAY)).await.unwrap(), []);
    check(stores, &records, "nothing was corrected").await;

    let unused = RequestRecord { usage_source: UsageSource::None, ..records[0].clone() };
    let undated = RequestRecord { settled_at: None, ..records[0].clone() };
    for (record, why) in [(unused, Uncorrectable::Unused), (undated, Uncorrectable::Undated)] {
        let refused = Correction::new(record, price(Some(1)), PeriodStarts::default());
        assert_eq!(refused, Err(why));
    }
}

/// A record that was taken in from elsewhere is in no statistic, and is in none afterwards.
pub async fn what_was_taken_in_is_corrected_in_no_statistic(stores: &Stores) {
    let [elsewhere, here] = [history()[0].clone(), history()[4].clone()];
    assert_eq!(stores.archive.add_records(std::slice::from_ref(&elsewhere)).await.unwrap(), 1);
    for is_there in [false, true] {
        let range = (at(0), at(3 * DAY));
        let filter = StatisticsFilter::default();
        let asked = StatisticsQuery::new((calendar(), at(3 * DAY)), range, Grain::Day, &[], filter);
        let asked = asked.unwrap();
        if is_there {
            settle(stores, &here).await;
        }
        let before = stores.usage.statistics(&asked).await.unwrap();
        let (from, to) = if is_there { (Some(3), Some(4)) } else { (None, Some(3)) };
        let read = with_price(&elsewhere, price(from));
        let made = [correction(&read, price(to))];
        let made = stores.corrections.correct(&made, at(2 * DAY)).await.unwrap();
        assert_eq!(made, [Corrected::Made]);
        assert_eq!(stores.usage.statistics(&asked).await.unwrap(), before);
    }
}

/// Every budget of the calendar.
fn budgets(starts: PeriodStarts) -> Limits {
    let kinds = BUDGETS.into_iter().filter(|kind| *kind != LimitKind::WindowCost);
    let all = kinds.fold(Limits::default(), |limits, kind| with_limit(limits, kind, Some(10_000)));
    Limits { starts, ..all }
}

/// A spender's request that has ended, dated.
fn ended(spender: &Spender, number: u64, weight: u64, now: Timestamp) -> RequestRecord {
    RequestRecord { settled_at: Some(now), ..spender.record(number, weight) }
}

async fn spend(spender: &Spender, stores: &Stores, record: &RequestRecord, number: u64) -> Settled {
    let now = record.settled_at.unwrap();
    spender.enter(number, 1, now).await.unwrap();
    let end = Settlement { record: record.clone(), ..spender.end(number, 0, now) };
    stores.ledger.settle(&end).await.unwrap()
}

async fn correct(stores: &Stores, spender: &Spender, before: &RequestRecord, weight: u64) {
    let price = Price::of(&spender.record(0, weight));
    let correction = Correction::new(before.clone(), price, spender.limits.starts).unwrap();
    let made = stores.corrections.correct(&[correction], at(9 * DAY)).await.unwrap();
    assert_eq!(made, [Corrected::Made]);
}

/// Of budgets those periods are moved in which the request counts, and no others, wherever they begin.
pub async fn a_correction_moves_the_periods_that_the_request_counts_in(stores: &Stores) {
    let odd = |day_minute| PeriodStarts { day_minute, week_day: 3, week_hour: 10 };
    let spenders = [
        (Whose::Key, PeriodStarts::default()),
        (Whose::Key, odd(0)),
        (Whose::Group, PeriodStarts::default()),
        (Whose::Group, odd(17 * 60)),
        (Whose::Account, PeriodStarts::default()),
        (Whose::Account, odd(17 * 60)),
        (Whose::Account, odd(10 * 60 + 30)),
    ];
    for (place, (whose, starts)) in spenders.into_iter().enumerate() {
        let name = format!("periods-{place}");
        let spender = Spender::new(stores, whose, &name, budgets(starts));
        let moments =
            [0, 9 * HOUR, 11 * HOUR, DAY, 2 * DAY, 3 * DAY + 9 * HOUR, 3 * DAY + 11 * HOUR];
        let mut history = Vec::new();
        for (number, moment) in (0_u64..).zip(moments) {
            let record = ended(&spender, number, 10 + number, at(moment));
            assert!(spend(&spender, stores, &record, number).await.is_first());
            history.push((record, 10 + number));
        }
        let now = at(3 * DAY + 12 * HOUR);
        let check = async |history: &[(RequestRecord, u64)], when: &str| {
            for state in spender.standing(now).await {
                let kind = state.limit.period().unwrap();
                let period = calendar().limit_period(kind, starts, now);
                let counts = |(record, _): &&(RequestRecord, u64)| {
                    period.contains(record.settled_at.unwrap())
                };
                let used: u64 = history.iter().filter(counts).map(|(_, weight)| weight).sum();
                assert_eq!(state.used, amount(state.limit, used), "{when}: {state:?} of {name}");
            }
        };
        check(&history, "before").await;
        for place in 0..history.len() {
            let (record, weight) = history[place].clone();
            let corrected = if place % 2 == 0 { weight * 7 } else { 1 };
            correct(stores, &spender, &record, corrected).await;
            let price = Price::of(&spender.record(0, corrected));
            history[place] = (with_price(&record, price), corrected);
            check(&history, &format!("after {place}")).await;
        }
    }
}

/// What a limit that was started anew does not count any more, it does not count afterwards either.
pub async fn a_correction_of_what_was_before_a_restart_weighs_nothing(stores: &Stores) {
    for whose in Whose::ALL {
        let spender = Spender::new(stores, whose, "restarted", budgets(PeriodStarts::default()));
        let [before, after] =
            [(0, 0), (1, 20)].map(|(number, moment)| ended(&spender, number, 10, at(moment)));
        spend(&spender, stores, &before, 0).await;
        stores.ledger.restart(&spender.scope(), at(10)).await.unwrap();
        spend(&spender, stores, &after, 1).await;
        let used = async || {
            let states = spender.standing(at(30)).await;
            let used = |state: &LimitState| state.used / amount(state.limit, 1);
            states.iter().map(used).collect::<Vec<_>>()
        };
        assert_eq!(used().await, [10; 5], "{whose:?}");
        correct(stores, &spender, &before, 25).await;
        assert_eq!(used().await, [10; 5], "{whose:?}");
        correct(stores, &spender, &after, 13).await;
        assert_eq!(used().await, [13; 5], "{whose:?}");
        stores.ledger.restart(&spender.scope(), at(31)).await.unwrap();
        assert_eq!(used().await, [0; 5], "{whose:?}");
    }
}

/// A threshold that only a correction has passed is told to nobody.
pub async fn a_correction_tells_no_threshold(stores: &Stores) {
    for whose in Whose::ALL {
        for kind in BUDGETS.into_iter().filter(|kind| *kind != LimitKind::WindowCost) {
            let name = format!("untold-{kind:?}");
            let spender = Spender::new(stores, whose, &name, limit(kind, 100));
            let first = ended(&spender, 0, 40, at(0));
            spend(&spender, stores, &first, 0).await;
            correct(stores, &spender, &first, 85).await;
            let mut told = Vec::new();
            for (number, weight) in [(1, 1), (2, 10)] {
                let record = ended(&spender, number, weight, at(number));
                let settled = spend(&spender, stores, &record, number).await;
                let Settled::Now { crossed } = settled else { panic!("it was settled before") };
                told.push(crossed.iter().map(|crossing| crossing.percent).collect::<Vec<_>>());
            }
            assert_eq!(told, [vec![], vec![95]], "{kind:?} of {whose:?}");
        }
    }
}
