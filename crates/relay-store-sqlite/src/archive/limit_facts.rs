//! What is known of limits that no counter tells, given and taken in.

use relay_domain::{
    Calendar, LimitPeriod, LimitPeriodKind, LimitScope, Limits, NanoUsd, PeriodStarts, Timestamp,
};
use relay_store::{LimitFacts, LimitRestart, OpenWindow, SpentInPeriod, budgets};
use rusqlite::{Connection, TransactionBehavior};

use crate::error::SqliteError;
use crate::queue::Queue;
use crate::spent::Amount;
use crate::windows::Window;
use crate::{limit_rows, own_days};

pub(super) fn read(
    connection: &Connection,
    calendar: Calendar,
    limits: &[(LimitScope, Limits)],
    now: Timestamp,
) -> Result<Vec<LimitFacts>, SqliteError> {
    let mut all = Vec::new();
    for (scope, limits) in limits {
        let mut facts = LimitFacts::none_of(scope.clone());
        let restart = limit_rows::read_restart(connection, scope)?;
        facts.restart =
            restart.map(|(at, Amount { all, claude })| LimitRestart { at, spent: all, claude });
        if let Some(length) = budgets::window_millis(limits) {
            let window = limit_rows::read_window(connection, scope)?;
            facts.window = window.and_then(|window| open_at(window, length, now));
        }
        let starts = limits.starts;
        match scope {
            LimitScope::Key(_) => {
                let week = calendar.limit_period(LimitPeriodKind::Week, starts, now);
                let amount = limit_rows::spent_in(connection, calendar, scope, &week)?.claude;
                facts.claude_week = spent(starts, &week, amount);
            }
            LimitScope::Account(_) if !starts.day_minute.is_multiple_of(60) => {
                let day = calendar.limit_period(LimitPeriodKind::Day, starts, now);
                let amount = limit_rows::spent_in(connection, calendar, scope, &day)?.all;
                facts.own_day = spent(starts, &day, amount);
            }
            LimitScope::Account(_) | LimitScope::Group(_) => {}
        }
        all.extend(Some(facts).filter(|facts| !facts.are_none()));
    }
    Ok(all)
}

fn spent(starts: PeriodStarts, period: &LimitPeriod, amount: NanoUsd) -> Option<SpentInPeriod> {
    let spent = SpentInPeriod { starts, starts_at: period.starts_at, amount };
    (NanoUsd::ZERO < amount).then_some(spent)
}

fn open_at(window: Window, length: u64, now: Timestamp) -> Option<OpenWindow> {
    let Window { opened_at, requests, tokens, cost, .. } = window;
    // As long as windows are now: it may have been opened when they were of another length.
    let ends_at = Timestamp::from_millis(opened_at.as_millis().saturating_add(length));
    (now < ends_at).then_some(OpenWindow { opened_at, ends_at, requests, tokens, cost })
}

pub(super) fn add(
    connection: &mut Connection,
    (calendar, queue): (Calendar, &Queue),
    facts: &[LimitFacts],
    now: Timestamp,
) -> Result<usize, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut n_added, mut opened) = (0, Vec::new());
    for LimitFacts { scope, window, restart, own_day, claude_week } in facts {
        let mut is_free = true;
        if let Some(OpenWindow { opened_at, ends_at, requests, tokens, cost }) = *window
            && now < ends_at
        {
            let window = Window { opened_at, ends_at, requests, tokens, cost };
            let is_added = limit_rows::add_window(&transaction, scope, &window)?;
            opened.extend(is_added.then(|| (scope.clone(), window)));
            is_free &= is_added;
        }
        if let Some(LimitRestart { at, spent, claude }) = *restart {
            let before = Amount { all: spent, claude };
            is_free &= limit_rows::add_restart(&transaction, scope, at, before)?;
        }
        let period = |kind, SpentInPeriod { starts, starts_at, amount }: SpentInPeriod| {
            let period = calendar.limit_period(kind, starts, starts_at);
            period.contains(now).then_some((period, amount))
        };
        match scope {
            LimitScope::Key(key) => {
                let week = claude_week.and_then(|week| period(LimitPeriodKind::Week, week));
                if let Some((week, amount)) = week {
                    let counted =
                        limit_rows::spent_in(&transaction, calendar, scope, &week)?.claude;
                    is_free &=
                        limit_rows::add_claude_week(&transaction, key, &week, amount - counted)?;
                }
            }
            LimitScope::Account(account) => {
                let day = own_day.and_then(|day| period(LimitPeriodKind::Day, day));
                if let Some((day, amount)) = day {
                    is_free &= own_days::keep(&transaction, account, &day, amount)?;
                }
            }
            LimitScope::Group(_) => {}
        }
        n_added += usize::from(is_free);
    }
    transaction.commit()?;
    let mut state = queue.state();
    for LimitFacts { scope, .. } in facts {
        state.holds.book.spent.forget(scope);
    }
    for (scope, window) in opened {
        state.holds.book.windows.opened(scope, window);
    }
    Ok(n_added)
}
