//! The order, one row a rule.

use relay_domain::AccountKind;

use super::*;
use crate::Exclusion;
use crate::pool::{Member, ask, candidates, group, id, ranking};

/// The ids in order of a decision over `members`.
fn order(members: &[Member], ask: &Ask<'_>, policy: Policy, rotation: u64) -> Vec<String> {
    let candidates = candidates(members);
    let ranking = rank(&candidates, ask, policy, rotation);
    ranking.order.iter().map(|index| candidates[*index].id.to_string()).collect()
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
    let (bound, other) = (AccountBinding::Account(id("b")), id("a"));
    let asked = Ask { binding: &bound, sticky: Some(&other), ..ask() };
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
fn a_key_of_a_group_gets_its_members_or_none() {
    let binding = AccountBinding::Group(group("g"));
    let outside = id("a");
    let asked = Ask { binding: &binding, sticky: Some(&outside), ..ask() };
    let within =
        |name, other| Member::new(name).with(|m| m.groups = vec![group(other), group("g")]);
    let dedicated = within("c", "x").with(|m| m.kind = AccountKind::Dedicated);
    let members = [
        Member::new("a").with(|m| m.groups = vec![group("x")]),
        within("b", "x"),
        dedicated,
        within("d", "x").with(|m| m.is_active = false),
    ];
    assert_eq!(
        ranking(&members, &asked).verdicts,
        [
            Verdict::Excluded(Exclusion::NotInGroup),
            Verdict::Chosen { why: ChosenWhy::Priority, position: 0 },
            Verdict::Chosen { why: ChosenWhy::Priority, position: 1 },
            Verdict::Excluded(Exclusion::NotActive),
        ],
        "stickiness is no way out, and a member need not be shared"
    );
    let sticky = id("c");
    let asked = Ask { sticky: Some(&sticky), ..asked };
    assert_eq!(order(&members, &asked, Policy::RoundRobin, 0), ["c", "b"]);
    let tried = [id("b"), id("c")];
    let asked = Ask { tried: &tried, ..asked };
    assert_eq!(ranking(&members, &asked).order, [], "the pool does not stand in");
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
fn accounts_are_compared_by_id_not_by_place() {
    let same = id("a");
    let members = [Member::new("a"), Member::new("a")];
    let asked = Ask { sticky: Some(&same), ..ask() };
    assert_eq!(ranking(&members, &asked).order, [0, 1], "a repeated id is no reason to fail");
}
