//! A long history of requests, to measure on what statistics and searches take.

use std::ops::Range;
use std::time::{Duration, Instant};

use relay_domain::{KeyId, NanoUsd, Outcome, RequestId, RequestRecord, Timestamp};
use tokio::task::JoinSet;

use super::fixture::{account_id, admit_request, group_id, model, rich_record, settlement, usage};
use crate::statistics::{CommitCells, Dimension, Fresh, Grain, StatisticsFilter, StatisticsQuery};
use crate::{AdmitRequest, RecordQuery, Stores, UsageScope};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// Requests that are in flight at once.
const AT_ONCE: usize = 100;
/// Requests that are counted by one commit where the history is not made through the ledger.
const COMMITTED_AT_ONCE: u64 = 20;
/// Records that are added at once.
const RECORDS_AT_ONCE: usize = 1_000;
/// Models and groups.
const MODELS: u64 = 10;
const GROUPS: u64 = 50;

/// How large a history is. Keys, accounts and models are used evenly, at random: nothing makes more cells.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Requests in all.
    pub requests: u64,
    /// Over so many days.
    pub days: u64,
    /// API keys.
    pub keys: u64,
    /// Accounts.
    pub accounts: u64,
    /// When it ends: a midnight of the store's calendar.
    pub end: Timestamp,
    /// The last of its requests that have records.
    pub records: u64,
    /// The last of its requests that go through the ledger. No housekeeping has seen them.
    pub settled: u64,
}

/// A kind of question: its name, what it tells apart, of what in each round, and its first and last hour.
type Question<'a> =
    (&'static str, Grain, &'a [Dimension], &'a dyn Fn(u64) -> StatisticsFilter, (u64, u64));

/// What one kind of question took.
#[derive(Debug)]
pub struct Measured {
    /// What was asked.
    pub name: &'static str,
    /// How many rows or records came.
    pub rows: usize,
    /// What the quickest took: on a machine that is busy elsewhere, the nearest to what it costs.
    pub least: Duration,
    /// Half of the questions took no longer.
    pub median: Duration,
    /// Nineteen of twenty took no longer.
    pub p95: Duration,
}

/// The `number`th of something, as a UUID.
fn uuid(kind: u64, number: u64) -> String {
    let random = scramble(kind << 32 | number);
    format!("{:08x}-d9cb-469f-a165-{:012x}", random & 0xffff_ffff, number)
}

/// Bits that look random and are the same every time.
fn scramble(number: u64) -> u64 {
    let mixed = (number ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 7
}

impl Shape {
    fn start(&self) -> u64 {
        self.end.as_millis() - self.days * DAY
    }

    /// The `number`th key.
    fn key(&self, number: u64) -> KeyId {
        KeyId::try_from(uuid(1, number % self.keys)).unwrap()
    }

    fn request(&self, number: u64) -> (RequestRecord, Timestamp) {
        let dice = |salt: u64, sides: u64| scramble(number * 8 + salt) % sides;
        let after = u128::from(number) * u128::from(self.days * DAY) / u128::from(self.requests);
        let ended = Timestamp::from_millis(self.start() + u64::try_from(after).unwrap());
        let key = dice(0, self.keys);
        let cost = NanoUsd::from_nanos(i64::try_from(dice(1, 200_000_000)).unwrap());
        let record = RequestRecord {
            id: RequestId::new(ended, u128::from(number)),
            key: self.key(key),
            group: Some(group_id(&format!("team-{:02}", key % GROUPS))),
            account: Some(account_id(&uuid(2, dice(2, self.accounts)))),
            served_model: Some(model(&format!("claude-model-{}", dice(3, MODELS)))),
            outcome: if dice(4, 50) == 0 { Outcome::ClientGone } else { Outcome::Completed },
            started_at: ended,
            usage: usage(1 + dice(5, 40)),
            cost: Some(cost),
            charged: Some(cost),
            ..rich_record(0, "k")
        };
        (record, ended)
    }
}

/// Makes the history. What the requests count is handed to `append` as their commits would append it, and
/// folded by the store's housekeeping, day by day; the last of them go through the ledger. Tells after each
/// day how many days are done.
pub async fn make<F: Future<Output = ()>>(
    stores: &Stores,
    shape: Shape,
    mut append: impl FnMut(Vec<Fresh>) -> F,
    mut tell: impl FnMut(u64),
) {
    let calendar = stores.usage.calendar();
    let unsettled = shape.requests - shape.settled;
    let mut records = Vec::new();
    let mut next = 0;
    for day in 1..=shape.days {
        let until = unsettled.min(shape.requests * day / shape.days);
        let mut fresh = Vec::new();
        while next < until {
            let mut cells = CommitCells::new(calendar);
            for number in next..until.min(next + COMMITTED_AT_ONCE) {
                let (record, ended) = shape.request(number);
                cells.count(&record, ended);
                if shape.requests <= number + shape.records {
                    records.push(record);
                }
            }
            next = until.min(next + COMMITTED_AT_ONCE);
            fresh.extend(cells.written());
        }
        append(fresh).await;
        for records in records.chunks(RECORDS_AT_ONCE) {
            while stores.archive.add_records(records).await.is_err() {}
        }
        records.clear();
        let now = Timestamp::from_millis(shape.start() + day * DAY + 2 * HOUR);
        while stores.ledger.reap(now, 100).await.is_err() {}
        tell(day);
    }
    settle(stores, shape, unsettled..shape.requests).await;
}

async fn settle(stores: &Stores, shape: Shape, numbers: Range<u64>) {
    for first in numbers.clone().step_by(AT_ONCE) {
        let mut running = JoinSet::new();
        for number in first..numbers.end.min(first + AT_ONCE as u64) {
            let ledger = stores.ledger.clone();
            running.spawn(async move {
                let (record, ended) = shape.request(number);
                let asked = AdmitRequest {
                    request: record.id,
                    ..admit_request(0, record.key.as_str(), ended)
                };
                // Both may be repeated; a machine that is busy elsewhere lets an answer be late.
                while ledger.admit(&asked).await.is_err() {}
                let end = settlement(record, ended);
                while ledger.settle(&end).await.is_err() {}
            });
        }
        running.join_all().await;
    }
}

/// Asks every kind of question `rounds` times, each time of others.
pub async fn measure(stores: &Stores, shape: Shape, rounds: u64) -> Vec<Measured> {
    use Dimension::{Account, Group, Key, Model};
    let none = |_: u64| StatisticsFilter::default();
    let key = |n: u64| StatisticsFilter { key: Some(shape.key(scramble(n))), ..none(n) };
    let account = |n: u64| {
        let account = account_id(&uuid(2, scramble(n) % shape.accounts));
        StatisticsFilter { account: Some(account), ..none(n) }
    };
    let served = |n: u64| StatisticsFilter {
        model: Some(model(&format!("claude-model-{}", n % MODELS))),
        ..none(n)
    };
    let group = |n: u64| StatisticsFilter {
        group: Some(group_id(&format!("team-{:02}", n % GROUPS))),
        ..none(n)
    };
    let all = (0, shape.days * 24);
    // Within a month at both ends, and not at midnight where single hours are kept.
    let ragged = (13 * 24, shape.days * 24 - 9 * 24 - 3);
    let week = ((shape.days - 7) * 24, shape.days * 24);
    let day = ((shape.days - 1) * 24, shape.days * 24);
    let questions: [Question<'_>; 15] = [
        ("all, by day", Grain::Day, &[], &none, all),
        ("by key", Grain::Whole, &[Key], &none, all),
        ("by key, ragged range", Grain::Whole, &[Key], &none, ragged),
        ("by account", Grain::Whole, &[Account], &none, all),
        ("by group", Grain::Whole, &[Group], &none, all),
        ("by model and day", Grain::Day, &[Model], &none, all),
        ("by account and model", Grain::Whole, &[Account, Model], &none, all),
        ("by key and model, a day", Grain::Whole, &[Key, Model], &none, day),
        ("by hour, a week", Grain::Hour, &[], &none, week),
        ("of a key, by model and day", Grain::Day, &[Model], &key, all),
        ("of an account, by day", Grain::Day, &[], &account, all),
        ("of an account, by key", Grain::Whole, &[Key], &account, all),
        ("of a model, by key", Grain::Whole, &[Key], &served, all),
        ("of a group, by account", Grain::Whole, &[Account], &group, all),
        ("of a group, by key and month", Grain::Month, &[Key], &group, all),
    ];
    let mut measured = Vec::new();
    for (name, grain, by, filter, (first, last)) in questions {
        let at = |hours: u64| Timestamp::from_millis(shape.start() + hours * HOUR);
        let calendar = stores.usage.calendar();
        let mut times = Times::default();
        for round in 0..rounds {
            let range = (at(first), at(last));
            let query =
                StatisticsQuery::new((calendar, shape.end), range, grain, by, filter(round));
            let query = query.unwrap();
            let began = Instant::now();
            let found = stores.usage.statistics(&query).await.unwrap();
            times.add(began.elapsed(), found.rows.unwrap().len());
        }
        measured.push(times.measured(name));
    }
    measured.extend(measure_records(stores, shape, rounds).await);
    measured
}

async fn measure_records(stores: &Stores, shape: Shape, rounds: u64) -> Vec<Measured> {
    let page = RecordQuery { limit: 50, ..RecordQuery::default() };
    let dear = Some(NanoUsd::from_nanos(199_000_000));
    let mut found: [Times; 4] = Default::default();
    for round in 0..rounds {
        let key = shape.key(scramble(round));
        let queries = [
            page.clone(),
            RecordQuery { key: Some(key.clone()), ..page.clone() },
            RecordQuery { min_cost: dear, outcome: Some(Outcome::ClientGone), ..page.clone() },
        ];
        for (times, query) in found.iter_mut().zip(queries) {
            let began = Instant::now();
            let page = stores.usage.search(&query).await.unwrap();
            times.add(began.elapsed(), page.records.len());
        }
        let began = Instant::now();
        let scope = UsageScope::Key(key);
        let totals = stores.usage.totals(&scope, relay_domain::Period::Total).await.unwrap();
        found[3].add(began.elapsed(), usize::from(totals.requests > 0));
    }
    let names =
        ["records, latest", "records of a key", "records, dear and gone", "totals of a key"];
    found.into_iter().zip(names).map(|(times, name)| times.measured(name)).collect()
}

#[derive(Default)]
struct Times {
    took: Vec<Duration>,
    rows: usize,
}

impl Times {
    fn add(&mut self, took: Duration, rows: usize) {
        self.took.push(took);
        self.rows = rows;
    }

    fn measured(mut self, name: &'static str) -> Measured {
        self.took.sort_unstable();
        let at = |percent: usize| {
            let place = (self.took.len() * percent / 100).min(self.took.len().saturating_sub(1));
            self.took.get(place).copied().unwrap_or_default()
        };
        Measured { name, rows: self.rows, least: at(0), median: at(50), p95: at(95) }
    }
}
