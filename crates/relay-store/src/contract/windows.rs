//! What every [`Ledger`](crate::Ledger) owes those who have a rate window: it opens with a request, closes
//! after its length, and counts each request once.

use std::time::Duration;

use relay_domain::{LimitKind, LimitState, Limits, Timestamp};

use super::fixture::{at, at_once};
use super::spender::{Spender, WINDOW, Whose, amount, limit, with_limit};
use crate::{Charge, Denial, Settlement, Stores};

fn milli(moment: Timestamp, earlier: u64) -> Timestamp {
    Timestamp::from_millis(moment.as_millis() - earlier)
}

/// So many requests in a window, which opens with the first of them and not again until it is over.
pub async fn a_window_counts_requests_until_it_closes(stores: &Stores) {
    for whose in Whose::ALL {
        let spender = Spender::new(stores, whose, "counts", limit(LimitKind::WindowRequests, 3));
        let [state] = spender.standing(at(0)).await[..] else { panic!("one limit") };
        assert_eq!((state.used, state.resets_at), (0, None), "none is open");
        let mut opened = at(5_000);
        for round in 0..3 {
            let number = round * 10;
            let closes = opened.plus(WINDOW);
            spender.enter(number, 1, opened).await.unwrap();
            spender.finish(number, 1, opened).await;
            spender.enter(number + 1, 1, opened.plus(Duration::from_mins(1))).await.unwrap();
            spender.enter(number + 2, 1, milli(closes, 2)).await.unwrap();
            let denial = Denial {
                scope: spender.scope(),
                limit: LimitKind::WindowRequests,
                used: 3,
                held: 0,
                allowed: 3,
                resets_at: Some(closes),
            };
            assert_eq!(spender.enter(number + 3, 1, milli(closes, 1)).await, Err(denial));
            let [state] = spender.standing(closes).await[..] else { panic!("one limit") };
            assert_eq!((state.used, state.resets_at), (0, None), "it is over, of {whose:?}");
            spender.finish(number + 1, 1, closes).await;
            spender.finish(number + 2, 1, closes).await;
            // The next opens when a request comes, not when the last one closed.
            opened = closes.plus(Duration::from_secs(round * 7));
        }
    }
}

/// Requests that come at once open one window, and as many are in as it allows.
pub async fn first_requests_at_once_open_one_window(stores: &Stores) {
    for whose in Whose::ALL {
        let spender = Spender::new(stores, whose, "at-once", limit(LimitKind::WindowRequests, 10));
        // Whichever comes first opens it; by then the first window is over for all of the second round.
        for (round, opened) in [(0, at(0)), (1, at(40).plus(WINDOW))] {
            let entering = (0..40).map(|number| {
                let spender = spender.clone();
                let now = opened.plus(Duration::from_millis(number));
                async move { spender.enter(round * 100 + number, 1, now).await }
            });
            let decisions = at_once(entering.collect::<Vec<_>>()).await;
            let granted = decisions.iter().filter(|decision| decision.is_ok()).count();
            assert_eq!(granted, 10, "{whose:?}");
            let [state] = spender.standing(opened.plus(Duration::from_millis(40))).await[..] else {
                panic!("one limit")
            };
            assert_eq!(state.used, 10, "{whose:?}");
        }
    }
}

/// A request that another limit keeps out opens no window and is not counted in one.
pub async fn a_denied_request_counts_in_no_window(stores: &Stores) {
    for whose in Whose::ALL {
        let limits =
            with_limit(limit(LimitKind::WindowRequests, 5), LimitKind::TotalCost, Some(10));
        let spender = Spender::new(stores, whose, "denied", limits);
        assert!(spender.enter(0, 11, at(0)).await.is_err());
        assert_eq!(spender.standing(at(0)).await[0].resets_at, None, "none is open");
        spender.enter(1, 10, at(1_000)).await.unwrap();
        for number in 2..9 {
            assert!(spender.enter(number, 1, at(2_000)).await.is_err());
        }
        let requests = spender.standing(at(2_000)).await[0];
        let expected = (1, Some(at(1_000).plus(WINDOW)));
        assert_eq!((requests.used, requests.resets_at), expected, "{whose:?}");
    }
}

/// A request stays counted in its window however it ends; its tokens and its cost count when it ends,
/// and weigh before as what they are thought to come to.
pub async fn tokens_and_cost_count_at_the_end(stores: &Stores) {
    for whose in Whose::ALL {
        let mut limits = limit(LimitKind::WindowRequests, 9);
        limits = with_limit(limits, LimitKind::WindowTokens, Some(100));
        limits = with_limit(limits, LimitKind::WindowCost, Some(100));
        let spender = Spender::new(stores, whose, "at-the-end", limits);
        spender.enter(0, 30, at(0)).await.unwrap();
        spender.enter(1, 20, at(1)).await.unwrap();
        assert_window(&spender, at(1), 2, (0, 50)).await;
        spender.finish(0, 10, at(2)).await;
        assert_window(&spender, at(2), 2, (10, 20)).await;
        let release = Settlement { charge: Charge::Release, ..spender.end(1, 20, at(3)) };
        assert!(stores.ledger.settle(&release).await.unwrap().is_first());
        assert_window(&spender, at(3), 2, (10, 0)).await;
        assert!(!stores.ledger.settle(&release).await.unwrap().is_first());
        assert_window(&spender, at(4), 2, (10, 0)).await;
    }
}

/// What ends in another window than it began in counts in that one; where none is open, in none.
pub async fn what_ends_later_counts_in_the_window_that_is_open(stores: &Stores) {
    for whose in Whose::ALL {
        let mut limits = limit(LimitKind::WindowRequests, 9);
        limits = with_limit(limits, LimitKind::WindowTokens, Some(100));
        limits = with_limit(limits, LimitKind::WindowCost, Some(100));
        let spender = Spender::new(stores, whose, "later", limits);
        for number in 0..3 {
            spender.enter(number, 10, at(number)).await.unwrap();
        }
        let closes = at(0).plus(WINDOW);
        spender.finish(0, 10, milli(closes, 1)).await;
        assert_window(&spender, milli(closes, 1), 3, (10, 20)).await;
        spender.finish(1, 10, closes).await;
        assert_window(&spender, closes, 0, (0, 10)).await;
        let next = closes.plus(Duration::from_secs(5));
        spender.enter(3, 10, next).await.unwrap();
        assert_window(&spender, next, 1, (0, 20)).await;
        spender.finish(2, 7, next).await;
        assert_window(&spender, next, 1, (7, 10)).await;
        let closes = next.plus(WINDOW);
        assert_window(&spender, milli(closes, 1), 1, (7, 10)).await;
        assert_window(&spender, closes, 0, (0, 10)).await;
    }
}

/// A request that asks again is counted once, and in another window once more.
pub async fn asking_again_is_counted_once(stores: &Stores) {
    for whose in [Whose::Key, Whose::Group] {
        let spender = Spender::new(stores, whose, "again", limit(LimitKind::WindowRequests, 2));
        spender.enter(0, 1, at(0)).await.unwrap();
        for _ in 0..5 {
            spender.enter(1, 1, at(1)).await.unwrap();
        }
        assert!(spender.enter(2, 1, at(2)).await.is_err(), "{whose:?}");
        let next = at(0).plus(WINDOW);
        spender.enter(1, 1, next).await.unwrap();
        spender.enter(3, 1, next).await.unwrap();
        assert!(spender.enter(4, 1, next).await.is_err(), "{whose:?}");
    }
}

/// A window in which nothing is limited is none.
pub async fn a_window_without_limits_lets_everything_in(stores: &Stores) {
    for whose in Whose::ALL {
        let limits = with_limit(Limits::default(), LimitKind::WindowTokens, None);
        let spender = Spender::new(stores, whose, "none", limits);
        for number in 0..20 {
            spender.enter(number, 1_000, at(0)).await.unwrap();
        }
        assert_eq!(spender.standing(at(0)).await, []);
    }
}

/// Asserts the requests of a window, and what is used and held of its tokens and its cost.
async fn assert_window(spender: &Spender, now: Timestamp, requests: u64, (used, held): (u64, u64)) {
    let standing = spender.standing(now).await;
    let seen: Vec<_> = standing.iter().map(|state| (state.limit, state.used, state.held)).collect();
    let expected = |kind, used, held| (kind, amount(kind, used), amount(kind, held));
    let expected = [
        expected(LimitKind::WindowRequests, requests, 0),
        expected(LimitKind::WindowTokens, used, held),
        expected(LimitKind::WindowCost, used, held),
    ];
    assert_eq!(seen, expected, "{:?} at {now}", spender.scope());
    let is_open = |state: &LimitState| state.resets_at.is_some();
    assert_eq!(standing.iter().all(is_open), 0 < requests, "{standing:?}");
}
