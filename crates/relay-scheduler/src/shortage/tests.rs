//! What is short, one row a mixture of exclusions.

use std::collections::BTreeMap;

use relay_domain::{AccountBinding, AccountKind, LimitKind, ModelMap, NanoUsd, Platform};

use super::*;
use crate::pool::{Member, NOW, ask, at, group, model_map, ranking, rest};
use crate::{Ask, Readiness};

#[test]
fn a_group_without_accounts_is_told_apart() {
    let binding = AccountBinding::Group(group("g"));
    let asked = Ask { binding: &binding, ..ask() };
    let shortage = |members: &[Member]| ranking(members, &asked).shortage();
    let outside = Member::new("a");
    assert_eq!(shortage(std::slice::from_ref(&outside)), Shortage::NoMembers);
    let resting = Member::new("b").with(|m| {
        m.groups = vec![group("g")];
        m.health = rest(PenaltyReason::RateLimited, Some(5));
    });
    let limited = Shortage::RateLimited { until: Some(at(5)) };
    assert_eq!(shortage(&[outside, resting]), limited, "those outside are not looked at");
}

#[test]
fn a_shortage_names_what_passes_first() {
    use PenaltyReason::{Blocked, ModelUnknown, Overloaded, RateLimited, Unreachable};
    let resting = |reason, until| Member::new("r").with(|m| m.health = rest(reason, until));
    let limited = || resting(RateLimited, Some(60));
    let off = || Member::new("o").with(|m| m.is_active = false);
    let other_model = || Member::new("m").with(|m| m.models = model_map("opus"));
    let stands_for = |model: &str| {
        let map = ModelMap::new(BTreeMap::from([("sonnet".to_owned(), model.to_owned())]));
        Member::new("s").with(|m| m.models = map)
    };
    let spent = || Member::new("q").with(|m| m.daily_quota = Some(NanoUsd::ZERO));
    let cases: &[(&str, Vec<Member>, Shortage)] = &[
        ("nothing at all", vec![], Shortage::NoAccounts),
        (
            "others' accounts alone",
            vec![
                Member::new("a").with(|m| m.platform = Platform::Codex),
                Member::new("b").with(|m| m.kind = AccountKind::Dedicated),
            ],
            Shortage::NoAccounts,
        ),
        ("all switched off", vec![off()], Shortage::Unavailable),
        ("in service, but not for it", vec![off(), other_model()], Shortage::ModelNotServed),
        (
            "as a model that the key may not use",
            vec![off(), stands_for("Opus")],
            Shortage::ModelRestricted,
        ),
        (
            "the provider does not know it",
            vec![resting(ModelUnknown, Some(5))],
            Shortage::ModelNotServed,
        ),
        (
            "the later limit does not matter",
            vec![resting(RateLimited, Some(90)), limited()],
            Shortage::RateLimited { until: Some(at(60)) },
        ),
        (
            "a limit without a known end comes after one with",
            vec![resting(RateLimited, None), limited()],
            Shortage::RateLimited { until: Some(at(60)) },
        ),
        ("a quota ends with the day", vec![spent(), limited()], {
            Shortage::RateLimited { until: Some(at(9)) }
        }),
        (
            "overload passes before the limit",
            vec![limited(), resting(Overloaded, Some(5))],
            Shortage::Overloaded { until: Some(at(5)) },
        ),
        (
            "unreachable counts as overload",
            vec![resting(Unreachable, Some(5)), other_model()],
            Shortage::Overloaded { until: Some(at(5)) },
        ),
        (
            "a busy account is free soonest",
            vec![limited(), Member::new("b").with(|m| m.max_concurrent = Some(0))],
            Shortage::Busy,
        ),
        ("refused by the provider", vec![resting(Blocked, Some(5))], Shortage::Unavailable),
        (
            "misconfigured",
            vec![other_model(), Member::new("p").with(|m| m.readiness = Readiness::ProxyUnusable)],
            Shortage::Unavailable,
        ),
    ];
    for (name, members, expected) in cases {
        let restricted_models = &["opus".to_owned()];
        let found = ranking(members, &Ask { restricted_models, ..ask() });
        assert_eq!(found.order, [], "{name}");
        assert_eq!(found.shortage(), *expected, "{name}");
    }
}

#[test]
fn what_is_held_passes_before_what_is_spent_and_what_is_too_large_is_told_before() {
    use Exclusion::{LimitReached, OnTrial, RoomHeld, RoomTooSmall};
    let limit = LimitKind::DailyCost;
    let reached = |seconds| LimitReached { limit, until: Some(at(seconds)) };
    let too_small = |until| RoomTooSmall { limit, until };
    let limited = |seconds| Shortage::RateLimited { until: Some(at(seconds)) };
    for (exclusions, expected, is_momentary) in [
        (&[reached(5), RoomHeld { limit }][..], Shortage::RoomHeld, true),
        (&[OnTrial, RoomHeld { limit }], Shortage::Busy, true),
        (&[too_small(Some(at(9))), reached(5)], limited(5), false),
        (
            &[reached(9), too_small(Some(at(9)))],
            Shortage::RoomTooSmall { until: Some(at(9)) },
            false,
        ),
        (&[too_small(None), reached(9)], limited(9), false),
        (&[too_small(None)], Shortage::RoomTooSmall { until: None }, false),
    ] {
        let found = Shortage::of(exclusions.iter());
        assert_eq!((found, found.is_momentary()), (expected, is_momentary), "{exclusions:?}");
    }
}

#[test]
fn a_client_reads_what_is_short_and_until_when() {
    let limited = Shortage::RateLimited { until: Some(NOW) };
    let text = "every account has reached a limit until 2023-11-14T22:13:20.000Z";
    assert_eq!(limited.to_string(), text);
    assert_eq!(Shortage::Busy.to_string(), "every account is busy");
}
