//! What holds of every decision, whatever the pool and the request.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use relay_domain::{
    AccountBinding, AccountGroupId, AccountHealth, AccountId, AccountKind, ModelName, NanoUsd,
    Penalty, PenaltyReason, Platform, Priority, Timestamp,
};

use crate::pool::{Member, NOW, ask, candidates, group, id, model_map};
use crate::{Ask, ChosenWhy, Policy, Ranking, Readiness, Verdict, exclusion, rank};

/// The parts of a request that a decision depends on, owned.
#[derive(Clone, Debug)]
struct Wish {
    model: &'static str,
    now: Timestamp,
    tried: Vec<AccountId>,
    binding: AccountBinding,
    sticky: Option<AccountId>,
}

impl Wish {
    fn ask(&self) -> Ask<'_> {
        Ask {
            model: self.model,
            now: self.now,
            tried: &self.tried,
            binding: &self.binding,
            sticky: self.sticky.as_ref(),
            ..ask()
        }
    }
}

/// One of a few ids, so that bindings, stickiness and repetitions happen.
fn some_id() -> impl Strategy<Value = AccountId> {
    (0..12_u8).prop_map(|n| id(&format!("acc-{n}")))
}

/// One of a few groups.
fn some_group() -> impl Strategy<Value = AccountGroupId> {
    (0..3_u8).prop_map(|n| group(&format!("group-{n}")))
}

/// Mostly now, sometimes the ends of time.
fn some_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        4 => (0..20_u64).prop_map(|n| Timestamp::from_millis(NOW.as_millis() - 10 + n)),
        1 => prop_oneof![Just(Timestamp::EPOCH), Just(Timestamp::from_millis(u64::MAX))],
    ]
}

fn some_penalty() -> impl Strategy<Value = Penalty> {
    let reason = prop_oneof![
        Just(PenaltyReason::RateLimited),
        Just(PenaltyReason::Overloaded),
        Just(PenaltyReason::Unauthorized),
        Just(PenaltyReason::QuotaExceeded),
    ];
    (reason, option::of(some_time())).prop_map(|(reason, until)| Penalty {
        reason,
        since: Timestamp::EPOCH,
        until,
        streak: 1,
    })
}

fn some_health() -> impl Strategy<Value = AccountHealth> {
    let of_model = option::weighted(0.2, some_penalty()).prop_map(|penalty| {
        let named = |penalty| (ModelName::try_from("sonnet").expect("a valid name"), penalty);
        penalty.map(named).into_iter().collect::<BTreeMap<_, _>>()
    });
    (option::weighted(0.3, some_penalty()), of_model)
        .prop_map(|(penalty, models)| AccountHealth { penalty, models })
}

fn some_member() -> impl Strategy<Value = Member> {
    let rarely = || prop::bool::weighted(0.1);
    let switches = (rarely(), rarely(), rarely(), rarely(), rarely(), any::<bool>());
    let numbers = (1..4_u8, 0..3_u32, option::of(1..4_u32), option::of(0..3_i64), 0..3_i64);
    let groups = vec(some_group(), 0..3);
    let facts = (some_id(), switches, numbers, some_health(), groups);
    facts.prop_map(|(id, switches, numbers, health, groups)| {
        let (codex, dedicated, off, apart, other_model, trial_in_flight) = switches;
        let (priority, in_flight, max_concurrent, quota, spent) = numbers;
        Member {
            id,
            platform: if codex { Platform::Codex } else { Platform::ClaudeConsole },
            priority: Priority::try_from(priority).expect("a valid priority"),
            is_active: !off,
            schedulable: !apart,
            kind: if dedicated { AccountKind::Dedicated } else { AccountKind::Shared },
            groups,
            health,
            models: if other_model { model_map("opus") } else { model_map("sonnet") },
            daily_quota: quota.map(NanoUsd::from_nanos),
            daily_spent: NanoUsd::from_nanos(spent),
            in_flight,
            max_concurrent,
            subscription_ends: None,
            readiness: if apart { Readiness::ProxyUnusable } else { Readiness::Ready },
            trial_in_flight,
        }
    })
}

fn some_wish() -> impl Strategy<Value = Wish> {
    let model = prop_oneof![9 => Just("sonnet"), 1 => Just("")];
    let binding = prop_oneof![
        6 => Just(AccountBinding::Pool),
        2 => some_id().prop_map(AccountBinding::Account),
        3 => some_group().prop_map(AccountBinding::Group),
        1 => Just(AccountBinding::Unusable),
    ];
    (model, some_time(), vec(some_id(), 0..3), binding, option::of(some_id())).prop_map(
        |(model, now, tried, binding, sticky)| Wish { model, now, tried, binding, sticky },
    )
}

fn some_policy() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::RoundRobin), Just(Policy::LeastInFlight)]
}

fn decide(members: &[Member], wish: &Wish, policy: Policy, rotation: u64) -> Ranking {
    rank(&candidates(members), &wish.ask(), policy, rotation)
}

proptest! {
    #[test]
    fn the_order_holds_exactly_those_that_nothing_excludes(
        members in vec(some_member(), 0..20),
        wish in some_wish(),
        policy in some_policy(),
        rotation: u64,
    ) {
        let found = decide(&members, &wish, policy, rotation);
        prop_assert_eq!(found.verdicts.len(), members.len());
        let mut sorted = found.order.clone();
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(sorted.len(), found.order.len(), "nobody is tried twice");
        for (index, (member, verdict)) in members.iter().zip(&found.verdicts).enumerate() {
            let place = found.order.iter().position(|chosen| *chosen == index);
            match (exclusion(&member.candidate(), &wish.ask()), *verdict) {
                (Some(reason), Verdict::Excluded(given)) => {
                    prop_assert_eq!(reason, given);
                    prop_assert_eq!(place, None);
                }
                (None, Verdict::Chosen { position, .. }) => prop_assert_eq!(place, Some(position)),
                (reason, given) => prop_assert!(false, "{:?} but {:?}", reason, given),
            }
        }
    }

    #[test]
    fn the_sticky_account_is_first_and_tiers_never_invert(
        members in vec(some_member(), 0..20),
        wish in some_wish(),
        policy in some_policy(),
        rotation: u64,
    ) {
        let found = decide(&members, &wish, policy, rotation);
        let eligible_sticky = found
            .order
            .iter()
            .filter(|index| !matches!(wish.binding, AccountBinding::Account(_)) && wish.sticky.as_ref() == Some(&members[**index].id))
            .count();
        for (position, index) in found.order.iter().enumerate() {
            let why = match (&wish.binding, position < eligible_sticky) {
                (AccountBinding::Account(_), _) => ChosenWhy::Bound,
                (_, true) => ChosenWhy::Sticky,
                (_, false) => ChosenWhy::Priority,
            };
            prop_assert_eq!(found.verdicts[*index], Verdict::Chosen { why, position });
        }
        let tiers: Vec<Priority> =
            found.order[eligible_sticky..].iter().map(|index| members[*index].priority).collect();
        prop_assert!(tiers.is_sorted(), "{:?}", tiers);
    }

    #[test]
    fn nobody_outside_of_a_binding_is_ever_tried(
        members in vec(some_member(), 0..20),
        wish in some_wish(),
        policy in some_policy(),
        rotation: u64,
    ) {
        let found = decide(&members, &wish, policy, rotation);
        for index in found.order {
            let member = &members[index];
            let is_meant = match &wish.binding {
                AccountBinding::Pool => member.kind == AccountKind::Shared,
                AccountBinding::Account(account) => member.id == *account,
                AccountBinding::Group(group) => member.groups.contains(group),
                AccountBinding::Unusable => false,
            };
            prop_assert!(is_meant, "{:?}", member.id);
        }
    }

    #[test]
    fn the_decision_depends_on_its_arguments_and_not_on_their_listing(
        members in vec(some_member(), 0..20),
        wish in some_wish(),
        policy in some_policy(),
        rotation: u64,
        seed in any::<prop::sample::Index>(),
    ) {
        let mut known = BTreeSet::new();
        let mut members: Vec<Member> =
            members.into_iter().filter(|member| known.insert(member.id.clone())).collect();
        let ids = |members: &[Member]| -> Vec<AccountId> {
            let found = decide(members, &wish, policy, rotation);
            found.order.iter().map(|index| members[*index].id.clone()).collect()
        };
        let before = ids(&members);
        prop_assert_eq!(&ids(&members), &before, "the same twice");
        if !members.is_empty() {
            let middle = seed.index(members.len());
            members.rotate_left(middle);
            members.reverse();
        }
        prop_assert_eq!(ids(&members), before, "listed in another order");
    }

    #[test]
    fn a_tier_shares_first_places_equally(
        n_members in 1..12_usize,
        rounds in 1..4_u64,
        start in 0..1_000_u64,
    ) {
        let members: Vec<Member> =
            (0..n_members).map(|n| Member::new(&format!("acc-{n}"))).collect();
        let wish =
            Wish { model: "sonnet", now: NOW, tried: vec![], binding: AccountBinding::Pool, sticky: None };
        let mut firsts = vec![0_u64; n_members];
        for turn in 0..rounds * u64::try_from(n_members).expect("a small number") {
            let found = decide(&members, &wish, Policy::RoundRobin, start + turn);
            firsts[found.first().expect("all are eligible")] += 1;
        }
        prop_assert_eq!(firsts, vec![rounds; n_members]);
    }

    #[test]
    fn the_least_busy_of_a_tier_is_first(
        loads in vec(0..50_u32, 1..12),
        rotation: u64,
    ) {
        let members: Vec<Member> = loads
            .iter()
            .enumerate()
            .map(|(n, load)| Member::new(&format!("acc-{n}")).with(|m| m.in_flight = *load))
            .collect();
        let wish =
            Wish { model: "sonnet", now: NOW, tried: vec![], binding: AccountBinding::Pool, sticky: None };
        let found = decide(&members, &wish, Policy::LeastInFlight, rotation);
        let order: Vec<u32> = found.order.iter().map(|index| loads[*index]).collect();
        prop_assert!(order.is_sorted(), "{:?}", order);
    }

    #[test]
    fn a_recovery_is_in_the_future(
        members in vec(some_member(), 0..20),
        wish in some_wish(),
    ) {
        let found = rank(
            &candidates(&members),
            &Ask { day_ends: None, ..wish.ask() },
            Policy::RoundRobin,
            0,
        );
        prop_assert!(found.earliest_recovery().is_none_or(|moment| wish.now < moment));
    }
}
