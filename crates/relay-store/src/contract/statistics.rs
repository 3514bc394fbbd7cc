//! What every [`UsageRepository`](crate::UsageRepository) owes whoever asks what was used.

use std::collections::BTreeMap;

use relay_domain::{Calendar, NanoUsd, PeriodKind, RequestId, RequestRecord, Timestamp};

use super::fixture::{
    account_id, admit_request, admitted, at, calendar, group_id, key_id, model, record, settlement,
    usage,
};
use crate::statistics::{
    Dimension, Grain, RangeError, StatisticsFilter, StatisticsQuery, StatisticsRow,
};
use crate::{AdmitRequest, Charge, Settlement, Stores, UsageTotals};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Some request of some key, which ended so many milliseconds after the fixture's now.
fn some_record(dice: &mut Dice, number: u32, ended: u64) -> RequestRecord {
    let cost = i64::try_from(dice.roll(5_000_000)).unwrap();
    let priced = dice.roll(10) != 0;
    RequestRecord {
        id: RequestId::new(at(ended), u128::from(number)),
        key: key_id(["k1", "k2", "k3"][usize::try_from(dice.roll(3)).unwrap()]),
        group: [None, Some(group_id("team-one")), Some(group_id("team-two"))]
            [usize::try_from(dice.roll(3)).unwrap()]
        .clone(),
        account: (dice.roll(8) != 0)
            .then(|| account_id(["a1", "a2"][usize::try_from(dice.roll(2)).unwrap()])),
        served_model: (dice.roll(6) != 0).then(|| model("served")),
        model: model(["asked", "served"][usize::try_from(dice.roll(2)).unwrap()]),
        usage: usage(dice.roll(50)),
        cost: priced.then(|| NanoUsd::from_nanos(cost)),
        charged: priced.then(|| NanoUsd::from_nanos(cost * 2)),
        ..record(0, "k1")
    }
}

async fn settle(stores: &Stores, record: &RequestRecord, ended: Timestamp) {
    let asked = AdmitRequest { request: record.id, ..admit_request(0, record.key.as_str(), ended) };
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let end = settlement(record.clone(), ended);
    assert!(stores.ledger.settle(&end).await.unwrap().is_first());
}

fn add(sum: &mut UsageTotals, record: &RequestRecord) {
    sum.requests += 1;
    sum.unpriced_requests += u64::from(record.cost.is_none());
    sum.tokens = sum.tokens + record.usage;
    sum.cost = sum.cost + record.cost.unwrap_or_default();
    sum.charged = sum.charged + record.charged.unwrap_or_default();
}

/// What the answer to a question has to be, by adding up every record.
fn expected(
    history: &[(Timestamp, RequestRecord)],
    (from, to): (Timestamp, Timestamp),
    grain: Grain,
    by: &[Dimension],
    filter: &StatisticsFilter,
) -> (UsageTotals, Vec<StatisticsRow>) {
    let mut total = UsageTotals::default();
    let mut rows: BTreeMap<String, StatisticsRow> = BTreeMap::new();
    for (ended, record) in history {
        let served = record.served_model.as_ref().unwrap_or(&record.model);
        let passes = from <= *ended
            && *ended < to
            && filter.key.as_ref().is_none_or(|key| *key == record.key)
            && filter.group.as_ref().is_none_or(|group| Some(group) == record.group.as_ref())
            && filter.account.as_ref().is_none_or(|id| Some(id) == record.account.as_ref())
            && filter.model.as_ref().is_none_or(|model| model == served);
        if !passes {
            continue;
        }
        let kind = match grain {
            Grain::Whole => None,
            Grain::Month => Some(PeriodKind::Month),
            Grain::Day => Some(PeriodKind::Day),
            Grain::Hour => Some(PeriodKind::Hour),
        };
        let row = StatisticsRow {
            period: kind.map(|kind| calendar().period(kind, *ended)),
            key: by.contains(&Dimension::Key).then(|| record.key.clone()),
            group: record.group.clone().filter(|_| by.contains(&Dimension::Group)),
            account: record.account.clone().filter(|_| by.contains(&Dimension::Account)),
            model: by.contains(&Dimension::Model).then(|| served.clone()),
            totals: UsageTotals::default(),
        };
        add(&mut total, record);
        add(&mut rows.entry(format!("{row:?}")).or_insert(row).totals, record);
    }
    (total, rows.into_values().collect())
}

fn questions() -> Vec<(Vec<Dimension>, StatisticsFilter)> {
    use Dimension::{Account, Group, Key, Model};
    let none = StatisticsFilter::default;
    let key = || StatisticsFilter { key: Some(key_id("k1")), ..none() };
    let group = || StatisticsFilter { group: Some(group_id("team-one")), ..none() };
    let account = || StatisticsFilter { account: Some(account_id("a1")), ..none() };
    let served = || StatisticsFilter { model: Some(model("served")), ..none() };
    vec![
        (vec![], none()),
        (vec![Key], none()),
        (vec![Group], none()),
        (vec![Account], none()),
        (vec![Model], none()),
        (vec![Model, Account], none()),
        (vec![Account, Key], none()),
        (vec![Key, Group, Account, Model], none()),
        (vec![Model], key()),
        (vec![Account], key()),
        (vec![Key], account()),
        (vec![Model], account()),
        (vec![Key], group()),
        (vec![Group], served()),
        (vec![], StatisticsFilter { model: Some(model("served")), ..key() }),
        (vec![], StatisticsFilter { account: Some(account_id("a2")), ..group() }),
        (vec![Group], StatisticsFilter { account: Some(account_id("a2")), ..served() }),
        (vec![Key], StatisticsFilter { key: Some(key_id("nobody")), ..none() }),
    ]
}

/// Asks everything about a range, and compares with what the records say.
async fn check(
    stores: &Stores,
    history: &[(Timestamp, RequestRecord)],
    now: Timestamp,
    (from, to): (u64, u64),
    grain: Grain,
) {
    let range = (at(from), at(to));
    for (by, filter) in questions() {
        let query =
            StatisticsQuery::new((calendar(), now), range, grain, &by, filter.clone()).unwrap();
        let found = stores.usage.statistics(&query).await.unwrap();
        let (total, rows) = expected(history, range, grain, &by, &filter);
        let asked = format!("{grain:?} {by:?} {filter:?} from {from} to {to}");
        assert_eq!(found.total, total, "{asked}");
        let sorted = |rows: Vec<StatisticsRow>| {
            let mut rows: Vec<_> = rows.into_iter().map(|row| format!("{row:?}")).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(found.rows.unwrap()), sorted(rows), "{asked}");
    }
}

/// Whatever is asked about whatever range, the answer is what adding up the records gives: before and
/// after hours have become days and days months, and also with what is delivered late.
pub async fn any_question_is_answered_as_the_records_say(stores: &Stores) {
    let mut dice = Dice(7);
    let mut history = Vec::new();
    // The fixture's now is half past midnight: the next midnight is so far away.
    let midnight = 23 * HOUR + HOUR / 2;
    let ranges = [
        (0, HOUR / 2 + 2 * DAY),
        (midnight, midnight + 29 * DAY),
        (5 * HOUR + HOUR / 2, midnight + 61 * DAY),
        (midnight + 19 * DAY, midnight + 50 * DAY + 5 * HOUR),
        (midnight + 30 * DAY, midnight + 58 * DAY),
        (0, 400 * DAY),
    ];
    let mut number = 0;
    for day in 0..75 {
        for _ in 0..=dice.roll(5) {
            let ended = day * DAY + dice.roll(DAY);
            let record = some_record(&mut dice, number, ended);
            settle(stores, &record, at(ended)).await;
            history.push((at(ended), record));
            number += 1;
        }
        if day % 7 == 3 || day == 74 {
            stores.ledger.reap(at((day + 1) * DAY), 10).await.unwrap();
        }
        if matches!(day, 0 | 12 | 40 | 74) {
            // What waited in some journal until its day, its month and all that came after were counted.
            let ended = dice.roll((day + 1) * DAY);
            let late = some_record(&mut dice, number, ended);
            settle(stores, &late, at(ended)).await;
            history.push((at(ended), late));
            number += 1;
            for again in 0..2 {
                let now = at((day + 1) * DAY);
                // Single hours are asked for only where they are kept.
                let recent = ranges.iter().copied().filter(|(from, to)| {
                    let edge = now.as_millis().saturating_sub(34 * DAY);
                    edge <= at(*from).as_millis() && edge <= at(*to).as_millis()
                });
                for range in recent {
                    check(stores, &history, now, range, Grain::Hour).await;
                    check(stores, &history, now, range, Grain::Whole).await;
                }
                for range in [(midnight, midnight + 29 * DAY), (midnight, midnight + 400 * DAY)] {
                    for grain in [Grain::Whole, Grain::Day, Grain::Month] {
                        check(stores, &history, now, range, grain).await;
                    }
                }
                if again == 0 {
                    stores.ledger.reap(now, 10).await.unwrap();
                }
            }
        }
    }
}

/// Months stay when their days are gone; what cannot be told any more is refused, not guessed.
pub async fn old_months_stay_and_old_days_are_refused(stores: &Stores) {
    let first = record(0, "k");
    settle(stores, &first, at(0)).await;
    let late = 600 * DAY;
    let mut day = 1;
    while day * DAY < late {
        stores.ledger.reap(at(day * DAY), 10).await.unwrap();
        day += 30;
    }
    stores.ledger.reap(at(late), 10).await.unwrap();
    let ask = |from, to, grain, by: &[Dimension]| {
        StatisticsQuery::new(
            (calendar(), at(late)),
            (from, to),
            grain,
            by,
            StatisticsFilter::default(),
        )
    };
    let within_a_day = ask(at(HOUR), at(late), Grain::Month, &[Dimension::Key]);
    assert_eq!(within_a_day, Err(RangeError::HoursGone));
    let midnight = Timestamp::from_millis(at(0).as_millis() - HOUR / 2);
    let query = ask(midnight, at(late), Grain::Month, &[Dimension::Key, Dimension::Model]).unwrap();
    let found = stores.usage.statistics(&query).await.unwrap();
    assert_eq!(found.total.requests, 1);
    assert_eq!(found.rows.unwrap()[0].key, Some(key_id("k")));
    let next_day = Timestamp::from_millis(midnight.as_millis() + DAY);
    assert_eq!(ask(next_day, at(late), Grain::Whole, &[]), Err(RangeError::DaysGone));
    assert_eq!(ask(midnight, at(late), Grain::Day, &[]), Err(RangeError::DaysGone));
    let cross = [Dimension::Key, Dimension::Account];
    assert_eq!(ask(midnight, at(late), Grain::Whole, &cross), Err(RangeError::DaysGone));
    assert_eq!(ask(at(late), at(late), Grain::Whole, &[]), Err(RangeError::Empty));
}

/// A request that used nothing is in no statistic.
pub async fn a_release_is_in_no_statistic(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    let release = Settlement { charge: Charge::Release, ..settlement(record(0, "k"), at(1)) };
    assert!(stores.ledger.settle(&release).await.unwrap().is_first());
    let whole = StatisticsQuery::new(
        (calendar(), at(0)),
        (Timestamp::EPOCH, at(DAY)),
        Grain::Whole,
        &[Dimension::Key],
        StatisticsFilter::default(),
    );
    let found = stores.usage.statistics(&whole.unwrap()).await.unwrap();
    assert_eq!(found.total, UsageTotals::default());
    assert_eq!(found.rows, Some(Vec::new()));
    assert_eq!(stores.usage.calendar(), Calendar::with_offset_minutes(480).unwrap());
}
