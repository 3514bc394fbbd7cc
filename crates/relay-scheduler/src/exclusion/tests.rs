//! Every filter, on both sides of its edge.

use std::collections::BTreeSet;

use super::*;
use crate::pool::{Member, NOW, ask, at, model_map, rest};
use relay_domain::{AccountKind, LimitKind, Platform};

fn resting(reason: PenaltyReason, until: u64) -> Exclusion {
    Exclusion::Resting { reason, until: Some(at(until)) }
}

fn check(cases: &[(&str, Member, Option<Exclusion>)]) {
    for (name, member, expected) in cases {
        assert_eq!(exclusion(&member.candidate(), &ask()), *expected, "{name}");
    }
}

#[test]
fn what_is_set_up_excludes_on_its_side_of_the_edge() {
    let healthy = || Member::new("a");
    check(&[
        ("healthy and idle", healthy(), None),
        (
            "another platform",
            healthy().with(|m| m.platform = Platform::Codex),
            Some(Exclusion::OtherPlatform),
        ),
        (
            "dedicated, and the key is bound to nothing",
            healthy().with(|m| m.kind = AccountKind::Dedicated),
            Some(Exclusion::Dedicated),
        ),
        ("switched off", healthy().with(|m| m.is_active = false), Some(Exclusion::NotActive)),
        (
            "out of scheduling",
            healthy().with(|m| m.schedulable = false),
            Some(Exclusion::NotSchedulable),
        ),
        (
            "a map with another model",
            healthy().with(|m| m.models = model_map("opus")),
            Some(Exclusion::ModelNotServed),
        ),
        ("a map with the model", healthy().with(|m| m.models = model_map("Sonnet")), None),
        (
            "an unusable proxy",
            healthy().with(|m| m.readiness = Readiness::ProxyUnusable),
            Some(Exclusion::ProxyUnusable),
        ),
        (
            "an unusable address",
            healthy().with(|m| m.readiness = Readiness::AddressUnusable),
            Some(Exclusion::AddressUnusable),
        ),
        (
            "an unreadable secret",
            healthy().with(|m| m.readiness = Readiness::SecretUnreadable),
            Some(Exclusion::SecretUnreadable),
        ),
    ]);
}

#[test]
fn what_passes_excludes_on_its_side_of_the_edge() {
    use PenaltyReason::{ModelUnknown, RateLimited, Unauthorized};
    let healthy = || Member::new("a");
    let dollars = NanoUsd::from_nanos;
    let spent = Exclusion::QuotaSpent { quota: dollars(5), spent: dollars(5), until: Some(at(9)) };
    let forever = Exclusion::Resting { reason: Unauthorized, until: None };
    check(&[
        (
            "a rest that ends later",
            healthy().with(|m| m.health = rest(RateLimited, Some(1))),
            Some(resting(RateLimited, 1)),
        ),
        ("a rest that ends now", healthy().with(|m| m.health = rest(RateLimited, Some(0))), None),
        (
            "a rest without end",
            healthy().with(|m| m.health = rest(Unauthorized, None)),
            Some(forever),
        ),
        (
            "this model rests",
            healthy().with(|m| m.rest_from("sonnet", 1)),
            Some(resting(ModelUnknown, 1)),
        ),
        ("another model rests", healthy().with(|m| m.rest_from("opus", 1)), None),
        (
            "a quota with a nano-dollar left",
            healthy().with(|m| (m.daily_quota, m.daily_spent) = (Some(dollars(5)), dollars(4))),
            None,
        ),
        (
            "a quota used up",
            healthy().with(|m| (m.daily_quota, m.daily_spent) = (Some(dollars(5)), dollars(5))),
            Some(spent),
        ),
        ("no quota", healthy().with(|m| m.daily_spent = dollars(i64::MAX)), None),
        (
            "a subscription that ends later",
            healthy().with(|m| m.subscription_ends = Some(at(1))),
            None,
        ),
        (
            "a subscription that ends now",
            healthy().with(|m| m.subscription_ends = Some(NOW)),
            Some(Exclusion::SubscriptionEnded { at: NOW }),
        ),
        ("one slot left", healthy().with(|m| (m.max_concurrent, m.in_flight) = (Some(2), 1)), None),
        (
            "last slot taken",
            healthy().with(|m| (m.max_concurrent, m.in_flight) = (Some(2), 2)),
            Some(Exclusion::AtCapacity { limit: 2 }),
        ),
        ("no limit of slots", healthy().with(|m| m.in_flight = u32::MAX), None),
        (
            "a rest just ended, and one request tries",
            healthy().with(|m| {
                m.health = rest(RateLimited, Some(0));
                m.trial_in_flight = true;
            }),
            Some(Exclusion::OnTrial),
        ),
        (
            "well again before the trial was noted",
            healthy().with(|m| m.trial_in_flight = true),
            None,
        ),
    ]);
}

#[test]
fn codes_are_distinct() {
    let all = [
        Exclusion::OtherPlatform,
        Exclusion::NotBound,
        Exclusion::Dedicated,
        Exclusion::NotActive,
        Exclusion::NotSchedulable,
        Exclusion::ModelNotServed,
        Exclusion::ModelRestricted,
        Exclusion::ProxyUnusable,
        Exclusion::AddressUnusable,
        Exclusion::SecretUnreadable,
        resting(PenaltyReason::Blocked, 1),
        Exclusion::QuotaSpent { quota: NanoUsd::ZERO, spent: NanoUsd::ZERO, until: None },
        Exclusion::LimitReached { limit: LimitKind::WindowTokens, until: None },
        Exclusion::RoomTooSmall { limit: LimitKind::WindowTokens, until: None },
        Exclusion::RoomHeld { limit: LimitKind::WindowTokens },
        Exclusion::AlreadyTried,
        Exclusion::OnTrial,
        Exclusion::AtCapacity { limit: 1 },
    ];
    let codes: BTreeSet<&str> = all.iter().map(Exclusion::code).collect();
    assert_eq!(codes.len(), all.len());
    let texts: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), all.len());
}
