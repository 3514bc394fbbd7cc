//! What every [`Archive`](crate::Archive) owes whoever moves what counters do not tell.

use relay_domain::{
    Actor, AuditEntry, LimitKind, LimitScope, Limits, NanoUsd, Period, PeriodStarts, Platform,
    Timestamp,
};

use super::fixture::{
    account_id, admit_request, affinity, at, calendar, model, rebind, record, usage,
};
use super::spender::{Spender, WINDOW, Whose, amount, dimes, limit, with_limit};
use crate::statistics::{CommitCells, Fold, Grain, Hour, StatisticsFilter, StatisticsQuery};
use crate::{
    AuditQuery, Counted, LimitFacts, LimitRestart, OpenWindow, Rebind, SpentInPeriod,
    StatisticsProgress, StoredSegment, Stores, UsageScope, UsageTotals,
};

/// What is known of the limits of `spender`, if anything is.
async fn facts(stores: &Stores, spender: &Spender, now: Timestamp) -> Option<LimitFacts> {
    let asked = [(spender.scope(), spender.limits)];
    let mut found = stores.archive.limits(&asked, now).await.unwrap();
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

async fn used(spender: &Spender, now: Timestamp) -> Vec<u64> {
    let standing = spender.standing(now).await;
    standing.into_iter().map(|state| state.used / amount(state.limit, 1)).collect()
}

/// Gives `spender` a total, of which so many dimes were for Claude models. Half of what an account has spent
/// is presumed.
async fn counted(stores: &Stores, spender: &Spender, all: u64, claude: u64) {
    let scope = match spender.scope() {
        LimitScope::Key(id) => UsageScope::Key(id),
        LimitScope::Group(id) => UsageScope::Group(id),
        LimitScope::Account(id) => UsageScope::Account(id),
    };
    let presumed = if let UsageScope::Account(_) = scope { dimes(all / 2) } else { NanoUsd::ZERO };
    let (cost, charged) = (dimes(all) - presumed, dimes(all));
    let totals = UsageTotals { cost, charged, ..UsageTotals::default() };
    let claude = dimes(claude);
    let counted = Counted { scope, period: Period::Total, totals, claude, presumed };
    assert_eq!(stores.archive.add_counters(&[counted]).await.unwrap(), 1);
}

/// A window that was open elsewhere is open here, and goes on; one that is over is passed over.
pub async fn a_window_moves(stores: &Stores) {
    for whose in Whose::ALL {
        let mut limits = limit(LimitKind::WindowRequests, 4);
        limits = with_limit(limits, LimitKind::WindowTokens, Some(100));
        limits = with_limit(limits, LimitKind::WindowCost, Some(100));
        let spender = Spender::new(stores, whose, "window", limits);
        assert_eq!(facts(stores, &spender, at(0)).await, None);
        let window = OpenWindow {
            opened_at: at(0),
            ends_at: at(0).plus(WINDOW),
            requests: 3,
            tokens: 7,
            cost: dimes(9),
        };
        let moved = LimitFacts { window: Some(window), ..LimitFacts::none_of(spender.scope()) };
        let over = Spender::new(stores, whose, "over", limits);
        let over_facts = LimitFacts { scope: over.scope(), ..moved.clone() };
        let ended = window.ends_at;
        stores.archive.add_limits(&[over_facts], ended).await.unwrap();
        assert_eq!(facts(stores, &over, at(0)).await, None, "it was over");

        let add = [moved.clone()];
        assert_eq!(stores.archive.add_limits(&add, at(1)).await.unwrap(), 1);
        assert_eq!(facts(stores, &spender, at(1)).await, Some(moved), "{whose:?}");
        assert_eq!(used(&spender, at(1)).await, [3, 7, 9], "{whose:?}");
        assert_eq!(stores.archive.add_limits(&add, at(1)).await.unwrap(), 0, "it is there");
        spender.enter(1, 1, at(2)).await.unwrap();
        spender.finish(1, 1, at(3)).await;
        assert_eq!(used(&spender, at(3)).await, [4, 8, 10], "{whose:?}");
        let denial = spender.enter(2, 1, at(4)).await.unwrap_err();
        assert_eq!(denial.limit, LimitKind::WindowRequests);
        assert_eq!(used(&spender, ended).await, [0, 0, 0], "{whose:?}");
    }
}

/// What was forgiven elsewhere is forgiven here, but never more than was counted.
pub async fn a_restart_moves(stores: &Stores) {
    for whose in Whose::ALL {
        let mut limits = limit(LimitKind::TotalCost, 50);
        limits = with_limit(limits, LimitKind::WeeklyClaudeCost, Some(50));
        let spender = Spender::new(stores, whose, "restart", limits);
        let restart = LimitRestart { at: at(0), spent: dimes(6), claude: dimes(2) };
        let moved = LimitFacts { restart: Some(restart), ..LimitFacts::none_of(spender.scope()) };
        let add = [moved.clone()];
        assert_eq!(stores.archive.add_limits(&add, at(1)).await.unwrap(), 0, "nothing was spent");
        counted(stores, &spender, 10, 5).await;
        assert_eq!(stores.archive.add_limits(&add, at(1)).await.unwrap(), 1);
        assert_eq!(facts(stores, &spender, at(1)).await, Some(moved), "{whose:?}");
        assert_eq!(used(&spender, at(1)).await, [4, 3], "{whose:?}");
        assert_eq!(stores.archive.add_limits(&add, at(1)).await.unwrap(), 0, "it is there");
    }
}

/// What a key was charged for Claude models this week weighs, whatever was counted of its days.
pub async fn a_week_of_claude_models_moves(stores: &Stores) {
    let mut limits = limit(LimitKind::WeeklyClaudeCost, 10);
    limits.starts = PeriodStarts { week_day: 3, week_hour: 7, ..limits.starts };
    let spender = Spender::new(stores, Whose::Key, "week", limits);
    let week = calendar().limit_period(
        LimitKind::WeeklyClaudeCost.period().unwrap(),
        limits.starts,
        at(0),
    );
    let spent = SpentInPeriod {
        starts: limits.starts,
        starts_at: week.starts_at,
        amount: NanoUsd::from_nanos(700_000_001),
    };
    let moved = LimitFacts { claude_week: Some(spent), ..LimitFacts::none_of(spender.scope()) };
    let add = [moved.clone()];
    assert_eq!(stores.archive.add_limits(&add, at(0)).await.unwrap(), 1);
    assert_eq!(facts(stores, &spender, at(0)).await, Some(moved));
    stores.archive.add_limits(&add, at(0)).await.unwrap();
    assert_eq!(spender.standing(at(0)).await[0].used, 700_000_001, "it is not added up");
    spender.enter(1, 2, at(1)).await.unwrap();
    spender.finish(1, 2, at(2)).await;
    assert_eq!(spender.standing(at(2)).await[0].used, 900_000_001);
    assert!(spender.enter(2, 2, at(3)).await.is_err());
    assert_eq!(
        facts(stores, &spender, at(3)).await.unwrap().claude_week.unwrap().amount,
        NanoUsd::from_nanos(900_000_001)
    );
    assert_eq!(spender.standing(week.ends_at.unwrap()).await[0].used, 0);
}

/// So does what an account spent in a day that does not begin on the hour.
pub async fn a_day_of_an_account_moves(stores: &Stores) {
    let mut limits = limit(LimitKind::DailyCost, 10);
    limits.starts = PeriodStarts { day_minute: 90, ..limits.starts };
    let spender = Spender::new(stores, Whose::Account, "day", limits);
    let day = calendar().limit_period(LimitKind::DailyCost.period().unwrap(), limits.starts, at(0));
    let spent = SpentInPeriod { starts: limits.starts, starts_at: day.starts_at, amount: dimes(7) };
    let moved = LimitFacts { own_day: Some(spent), ..LimitFacts::none_of(spender.scope()) };
    counted(stores, &spender, 30, 0).await;
    let add = [moved.clone()];
    assert_eq!(stores.archive.add_limits(&add, at(0)).await.unwrap(), 1);
    assert_eq!(stores.archive.add_limits(&add, at(0)).await.unwrap(), 0, "it is there");
    assert_eq!(facts(stores, &spender, at(0)).await, Some(moved));
    assert_eq!(used(&spender, at(0)).await, [7]);
    spender.enter(1, 2, at(1)).await.unwrap();
    spender.finish(1, 2, at(2)).await;
    assert_eq!(used(&spender, at(2)).await, [9]);
    assert_eq!(used(&spender, day.ends_at.unwrap()).await, [0]);
}

/// A conversation that was bound elsewhere is bound here, unless it is already or the binding has ended.
pub async fn bindings_move(stores: &Stores) {
    let bind = |name, account, until| (Platform::ClaudeConsole, rebind(name, account, until));
    let soon = at(0).plus(WINDOW);
    let add = [bind("a1", "one", soon), bind("a2", "two", at(1)), bind("a3", "three", soon)];
    assert_eq!(stores.archive.add_bindings(&add, at(1)).await.unwrap(), 2);
    let other = [bind("a1", "other", soon)];
    assert_eq!(stores.archive.add_bindings(&other, at(1)).await.unwrap(), 0);
    let mut given: Vec<Rebind> = Vec::new();
    let mut position = None;
    loop {
        let page = stores.archive.bindings(position).await.unwrap();
        given.extend(page.items);
        position = page.next;
        if position.is_none() {
            break;
        }
    }
    given.sort_by(|a, b| a.affinity.cmp(&b.affinity));
    given.dedup();
    assert_eq!(given, [rebind("a1", "one", soon), rebind("a3", "three", soon)]);
    let asked =
        crate::AdmitRequest { affinity: Some(affinity("a1")), ..admit_request(0, "k", at(2)) };
    let grant = stores.ledger.admit(&asked).await.unwrap().decision.unwrap();
    assert_eq!(grant.binding.map(|binding| binding.account), Some(account_id("one")));
}

/// The trail keeps its numbers, and goes on after them.
pub async fn the_trail_moves(stores: &Stores) {
    let entry = |seq, target: &str| AuditEntry {
        seq,
        at: at(seq),
        actor: Actor::admin("root"),
        action: "key.create".to_owned(),
        target_kind: "key".to_owned(),
        target_id: target.to_owned(),
        before: None,
        after: Some("{}".to_owned()),
    };
    let moved = [entry(3, "c"), entry(7, "g")];
    assert_eq!(stores.archive.add_audit(&moved).await.unwrap(), 2);
    assert_eq!(stores.archive.add_audit(&[entry(3, "other"), entry(5, "e")]).await.unwrap(), 1);
    assert_eq!(stores.archive.add_audit(&[]).await.unwrap(), 0);
    assert_eq!(stores.audit.append(&entry(0, "h")).await.unwrap(), 8);
    let all = AuditQuery { limit: 10, ..AuditQuery::default() };
    let page = stores.audit.page(&all).await.unwrap();
    let found: Vec<_> =
        page.entries.iter().map(|entry| (entry.seq, entry.target_id.as_str())).collect();
    assert_eq!(found, [(8, "h"), (7, "g"), (5, "e"), (3, "c")]);
    assert_eq!(page.entries[1], moved[1]);
}

/// Statistics that were made elsewhere answer here, what waits to be folded too; but only where there are
/// none.
pub async fn statistics_move(stores: &Stores) {
    assert!(stores.archive.statistics_progress().await.unwrap().is_none());
    let mut cells = CommitCells::new(calendar());
    for number in 0..20 {
        let record = relay_domain::RequestRecord {
            model: model(["one", "two"][usize::from(number % 2)]),
            usage: usage(u64::from(number)),
            ..record(number, "k")
        };
        cells.count(&record, at(0));
    }
    let fresh: Vec<_> = cells.written().collect();
    let fold = Fold::new(None, &fresh, Hour::of(calendar(), at(0))).unwrap().unwrap();
    let change = fold.finish();
    let segments: Vec<_> =
        change.writes.into_iter().map(|(name, parts)| StoredSegment { name, parts }).collect();
    let progress = StatisticsProgress { state: Some(change.state), fresh };

    assert_eq!(stores.archive.add_segments(&segments).await.unwrap(), segments.len());
    assert_eq!(stores.archive.add_segments(&segments).await.unwrap(), 0, "they are there");
    assert!(stores.archive.begin_statistics(&progress).await.unwrap());
    assert!(!stores.archive.begin_statistics(&progress).await.unwrap(), "there are some now");
    assert_eq!(stores.archive.add_segments(&segments).await.unwrap(), 0);
    assert_eq!(stores.archive.statistics_progress().await.unwrap(), progress);
    let (mut given, mut position) = (Vec::new(), None);
    loop {
        let page = stores.archive.segments(position).await.unwrap();
        given.extend(page.items);
        position = page.next;
        if position.is_none() {
            break;
        }
    }
    given.sort_by_key(|segment| segment.name);
    given.dedup();
    assert_eq!(given, segments);
    let range = (at(0), at(1));
    let (grain, filter) = (Grain::Whole, StatisticsFilter::default());
    let query = StatisticsQuery::new((calendar(), at(1)), range, grain, &[], filter).unwrap();
    // Once in the segment, and once in what waits.
    assert_eq!(stores.usage.statistics(&query).await.unwrap().total.requests, 40);
}

/// What limits are asked of nobody is told of nobody.
pub async fn nothing_is_known_of_limits_that_never_were(stores: &Stores) {
    assert_eq!(stores.archive.limits(&[], at(0)).await.unwrap(), []);
    for whose in Whose::ALL {
        let spender = Spender::new(stores, whose, "unknown", Limits::default());
        assert_eq!(facts(stores, &spender, at(0)).await, None);
    }
}
