//! Every rule of the decision, one row each.

mod pool;

use pool::{Member, NOW, at, id, model_map, rest};
use relay_domain::{AccountId, AccountKind, NanoUsd, PenaltyReason, Platform};
use relay_scheduler::{
    Ask, Candidate, ChosenWhy, Exclusion, Policy, Ranking, Readiness, Shortage, Verdict, exclusion,
    rank,
};

fn ask<'a>() -> Ask<'a> {
    Ask {
        platform: Platform::ClaudeConsole,
        model: "sonnet",
        now: NOW,
        day_ends: Some(at(9)),
        tried: &[],
        bound: None,
        sticky: None,
    }
}

fn resting(reason: PenaltyReason, until: u64) -> Exclusion {
    Exclusion::Resting { reason, until: Some(at(until)) }
}

/// The ids in order of a decision over `members`.
fn order(members: &[Member], ask: &Ask<'_>, policy: Policy, rotation: u64) -> Vec<String> {
    let candidates: Vec<Candidate<'_>> = members.iter().map(Member::candidate).collect();
    let ranking = rank(&candidates, ask, policy, rotation);
    ranking.order.iter().map(|index| candidates[*index].id.to_string()).collect()
}

fn ranking(members: &[Member], ask: &Ask<'_>) -> Ranking {
    let candidates: Vec<Candidate<'_>> = members.iter().map(Member::candidate).collect();
    rank(&candidates, ask, Policy::RoundRobin, 0)
}

#[test]
fn each_filter_excludes_on_its_side_of_the_edge() {
    use PenaltyReason::{ModelUnknown, RateLimited, Unauthorized};
    let healthy = || Member::new("a");
    let dollars = NanoUsd::from_nanos;
    let spent = Exclusion::QuotaSpent { quota: dollars(5), spent: dollars(5), until: Some(at(9)) };
    let forever = Exclusion::Resting { reason: Unauthorized, until: None };
    let cases: &[(&str, Member, Option<Exclusion>)] = &[
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
            "an unreadable secret",
            healthy().with(|m| m.readiness = Readiness::SecretUnreadable),
            Some(Exclusion::SecretUnreadable),
        ),
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
            "one slot left",
            healthy().with(|m| (m.max_concurrent, m.in_flight) = (Some(2), 1)),
            None,
        ),
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
        ("well again before the trial was noted", healthy().with(|m| m.trial_in_flight = true), None),
    ];
    for (name, member, expected) in cases {
        assert_eq!(exclusion(&member.candidate(), &ask()), *expected, "{name}");
    }
}

#[test]
fn a_request_never_returns_to_an_account_that_it_tried() {
    let tried = [id("a"), id("c")];
    let members = [Member::new("a"), Member::new("b"), Member::new("c")];
    let asked = Ask { tried: &tried, sticky: Some(&tried[0]), ..ask() };
    assert_eq!(order(&members, &asked, Policy::RoundRobin, 0), ["b"]);
    assert_eq!(
        ranking(&members, &asked).verdicts[0],
        Verdict::Excluded(Exclusion::AlreadyTried),
        "stickiness is no way around it"
    );
}

#[test]
fn a_bound_key_gets_its_account_or_none() {
    let (bound, other) = (id("b"), id("a"));
    let asked = Ask { bound: Some(&bound), sticky: Some(&other), ..ask() };
    let dedicated = || Member::new("b").with(|m| m.kind = AccountKind::Dedicated);
    let members = [Member::new("a"), dedicated()];
    let found = ranking(&members, &asked);
    assert_eq!(
        found.verdicts,
        [
            Verdict::Excluded(Exclusion::NotBound),
            Verdict::Chosen { why: ChosenWhy::Bound, position: 0 },
        ]
    );
    let off = [Member::new("a"), dedicated().with(|m| m.is_active = false)];
    assert_eq!(ranking(&off, &asked).order, [], "the pool does not stand in");
}

#[test]
fn the_order_is_stickiness_then_tiers_then_turns() {
    let members = [
        Member::new("e").with(|m| m.set_priority(90)),
        Member::new("c"),
        Member::new("b"),
        Member::new("a").with(|m| m.in_flight = 7),
        Member::new("d").with(|m| m.set_priority(10)),
    ];
    let (sticky, off) = (id("e"), id("z"));
    let with_sticky = |id: &'static str| if id == "e" { Some(&sticky) } else { Some(&off) };
    let robin = Policy::RoundRobin;
    let cases = [
        ("first turn", ask(), robin, 0, ["d", "a", "b", "c", "e"]),
        ("second turn", ask(), robin, 1, ["d", "b", "c", "a", "e"]),
        ("third turn", ask(), robin, 2, ["d", "c", "a", "b", "e"]),
        ("round again", ask(), robin, 3, ["d", "a", "b", "c", "e"]),
        ("least busy", ask(), Policy::LeastInFlight, 0, ["d", "b", "c", "a", "e"]),
        ("equals take turns", ask(), Policy::LeastInFlight, 2, ["d", "c", "b", "a", "e"]),
        (
            "sticky from the last tier",
            Ask { sticky: with_sticky("e"), ..ask() },
            robin,
            0,
            ["e", "d", "a", "b", "c"],
        ),
        (
            "sticky account is gone",
            Ask { sticky: with_sticky("z"), ..ask() },
            robin,
            0,
            ["d", "a", "b", "c", "e"],
        ),
    ];
    for (name, ask, policy, rotation, expected) in cases {
        assert_eq!(order(&members, &ask, policy, rotation), expected, "{name}");
    }
}

#[test]
fn verdicts_explain_themselves_to_an_operator() {
    let members = [
        Member::new("a"),
        Member::new("b").with(|m| m.health = rest(PenaltyReason::RateLimited, Some(60))),
        Member::new("c").with(|m| {
            (m.daily_quota, m.daily_spent) =
                (Some(NanoUsd::from_nanos(5_000_000_000)), NanoUsd::from_nanos(5_250_000_000));
        }),
    ];
    let sticky = id("a");
    let found = ranking(&members, &Ask { sticky: Some(&sticky), day_ends: None, ..ask() });
    let texts: Vec<String> = found.verdicts.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "number 1 to try: it served the conversation so far",
            "not to be tried: it rests until 2023-11-14T22:14:20.000Z: the provider limits it (429)",
            "not to be tried: its quota of the day is used up: 5.25 of 5.00 dollars",
        ]
    );
}

#[test]
fn a_shortage_names_what_passes_first() {
    use PenaltyReason::{Blocked, ModelUnknown, Overloaded, RateLimited, Unreachable};
    let resting = |reason, until| Member::new("r").with(|m| m.health = rest(reason, until));
    let limited = || resting(RateLimited, Some(60));
    let off = || Member::new("o").with(|m| m.is_active = false);
    let other_model = || Member::new("m").with(|m| m.models = model_map("opus"));
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
        let found = ranking(members, &ask());
        assert_eq!(found.order, [], "{name}");
        assert_eq!(found.shortage(), *expected, "{name}");
    }
}

#[test]
fn recovery_is_the_soonest_end_that_is_known() {
    use PenaltyReason::{Blocked, RateLimited, Unauthorized};
    let resting = |reason, until| Member::new("r").with(|m| m.health = rest(reason, until));
    let members = [
        resting(Unauthorized, None),
        resting(RateLimited, Some(60)),
        resting(Blocked, Some(30)),
        Member::new("well"),
    ];
    assert_eq!(ranking(&members, &ask()).earliest_recovery(), Some(at(30)));
    assert_eq!(ranking(&members[..1], &ask()).earliest_recovery(), None);
}

#[test]
fn a_client_reads_what_is_short_and_until_when() {
    let limited = Shortage::RateLimited { until: Some(NOW) };
    let text = "every account has reached a limit until 2023-11-14T22:13:20.000Z";
    assert_eq!(limited.to_string(), text);
    assert_eq!(Shortage::Busy.to_string(), "every account is busy");
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
        Exclusion::ProxyUnusable,
        Exclusion::SecretUnreadable,
        resting(PenaltyReason::Blocked, 1),
        Exclusion::QuotaSpent { quota: NanoUsd::ZERO, spent: NanoUsd::ZERO, until: None },
        Exclusion::AlreadyTried,
        Exclusion::OnTrial,
        Exclusion::AtCapacity { limit: 1 },
    ];
    let codes: std::collections::BTreeSet<&str> = all.iter().map(Exclusion::code).collect();
    assert_eq!(codes.len(), all.len());
    let texts: std::collections::BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), all.len());
}

#[test]
fn accounts_are_compared_by_id_not_by_place() {
    let same: AccountId = id("a");
    let members = [Member::new("a"), Member::new("a")];
    let asked = Ask { sticky: Some(&same), ..ask() };
    assert_eq!(ranking(&members, &asked).order, [0, 1], "a repeated id is no reason to fail");
}
