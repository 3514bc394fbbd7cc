//! Where the engine tells what an operator should hear of, and what a change of health amounts to.

use relay_domain::{AccountHealth, AccountId, Event, EventKind, Penalty, PenaltyReason, Timestamp};

/// Takes what an operator should hear of. Called from the paths of requests: it must never wait, and
/// bounds what it keeps.
pub trait EventSink: Send + Sync {
    /// Takes an event.
    fn tell(&self, event: Event);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unheard;

impl EventSink for Unheard {
    fn tell(&self, _event: Event) {}
}

/// What there is to tell when an account that fared as `before` fares as `after`.
pub(crate) fn health_change(
    account: &AccountId,
    before: &AccountHealth,
    after: &AccountHealth,
    now: Timestamp,
) -> Option<EventKind> {
    let account = || account.clone();
    match (before.penalty, after.penalty) {
        (old, Some(new)) if is_news(old, new, now) => Some(match new.reason {
            PenaltyReason::Unauthorized | PenaltyReason::Blocked => EventKind::AccountBlocked {
                account: account(),
                reason: new.reason,
                until: new.until,
            },
            PenaltyReason::RateLimited
            | PenaltyReason::Overloaded
            | PenaltyReason::ServerError
            | PenaltyReason::Unreachable
            | PenaltyReason::ModelUnknown
            | PenaltyReason::QuotaExceeded => EventKind::AccountCooled {
                account: account(),
                model: None,
                reason: new.reason,
                until: new.until,
            },
        }),
        (Some(old), None) => {
            Some(EventKind::AccountRecovered { account: account(), reason: old.reason })
        }
        (None, None) | (_, Some(_)) => {
            let mut models = after.models.iter();
            let news =
                models.find(|(name, new)| is_news(before.models.get(*name).copied(), **new, now));
            news.map(|(name, new)| EventKind::AccountCooled {
                account: account(),
                model: Some(name.clone()),
                reason: new.reason,
                until: new.until,
            })
        }
    }
}

/// Whether a penalty is another one than before, or the same again after it had ended.
fn is_news(old: Option<Penalty>, new: Penalty, now: Timestamp) -> bool {
    let goes_on = |old: Penalty| {
        old.reason == new.reason
            && (old == new || old.holds(now))
            && old.until.is_none() == new.until.is_none()
    };
    !old.is_some_and(goes_on)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn penalty(reason: PenaltyReason, seconds: u64) -> Penalty {
        let until = Some(NOW.plus(Duration::from_secs(seconds)));
        Penalty { reason, since: NOW, until, streak: 1 }
    }

    fn health(penalty: Option<Penalty>) -> AccountHealth {
        AccountHealth { penalty, ..AccountHealth::default() }
    }

    #[test]
    fn a_change_of_health_is_told_once() {
        use PenaltyReason::{Blocked, RateLimited, Unauthorized};
        let ended = Penalty { until: Some(NOW), ..penalty(RateLimited, 0) };
        let cases = [
            ("well", None, None, None),
            ("limited", None, Some(penalty(RateLimited, 9)), Some("account_cooled")),
            ("still", Some(penalty(RateLimited, 9)), Some(penalty(RateLimited, 60)), None),
            ("again", Some(ended), Some(penalty(RateLimited, 9)), Some("account_cooled")),
            (
                "blocked",
                Some(penalty(RateLimited, 9)),
                Some(penalty(Blocked, 9)),
                Some("account_blocked"),
            ),
            (
                "a 401 that is confirmed",
                Some(penalty(Unauthorized, 9)),
                Some(Penalty { until: None, ..penalty(Unauthorized, 0) }),
                Some("account_blocked"),
            ),
            ("recovered", Some(ended), None, Some("account_recovered")),
        ];
        let account = AccountId::try_from("a").unwrap();
        for (name, before, after, expected) in cases {
            let told = health_change(&account, &health(before), &health(after), NOW);
            assert_eq!(told.map(|kind| kind.name()), expected, "{name}");
        }
    }

    #[test]
    fn a_model_that_rests_is_told_by_its_name() {
        let model = relay_domain::ModelName::try_from("m").unwrap();
        let mut after = health(None);
        after.models.insert(model.clone(), penalty(PenaltyReason::ModelUnknown, 9));
        let account = AccountId::try_from("a").unwrap();
        let told = health_change(&account, &health(None), &after, NOW);
        assert!(
            matches!(&told, Some(EventKind::AccountCooled { model: Some(name), .. }) if *name == model),
            "{told:?}"
        );
        assert_eq!(health_change(&account, &after, &after, NOW), None);
    }
}
