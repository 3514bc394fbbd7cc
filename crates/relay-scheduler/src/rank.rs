//! The decision itself.

use relay_domain::AccountBinding;

use crate::{Ask, Candidate, ChosenWhy, Policy, Ranking, Verdict, exclusion};

/// Orders the candidates that can serve `ask` and gives a verdict on each. Pure and total: the same
/// arguments give the same ranking, whatever they are and however the candidates are listed.
///
/// A key that is bound to an account gets it and no other, one that is bound to a group its members and no
/// others. Among those that it may use the sticky account comes first if it passes
/// the same test as all, then tiers by priority, and inside a tier the order of `policy`.
///
/// `rotation` is whose turn it is: a counter of the caller's, one for each platform, that advances
/// by one with every request whose first account was chosen by priority. Sticky and bound requests
/// leave it alone, so that the rest are shared out evenly.
#[must_use]
pub fn rank(candidates: &[Candidate<'_>], ask: &Ask<'_>, policy: Policy, rotation: u64) -> Ranking {
    // Replaced below for everyone who is in `order`.
    let by_priority = Verdict::Chosen { why: ChosenWhy::Priority, position: 0 };
    let mut verdicts = Vec::with_capacity(candidates.len());
    let mut order = Vec::with_capacity(candidates.len());
    for (index, candidate) in candidates.iter().enumerate() {
        if let Some(reason) = exclusion(candidate, ask) {
            verdicts.push(Verdict::Excluded(reason));
        } else {
            verdicts.push(by_priority);
            order.push(index);
        }
    }

    let is_sticky = |index: &usize| ask.sticky == Some(candidates[*index].id);
    order.sort_unstable_by_key(|index| {
        let candidate = &candidates[*index];
        (!is_sticky(index), candidate.priority, candidate.id, *index)
    });
    let n_sticky = order.iter().take_while(|index| is_sticky(index)).count();
    for tier in
        order[n_sticky..].chunk_by_mut(|a, b| candidates[*a].priority == candidates[*b].priority)
    {
        take_turns(tier, candidates, policy, rotation);
    }

    for (position, index) in order.iter().enumerate() {
        let why = if matches!(ask.binding, AccountBinding::Account(_)) {
            ChosenWhy::Bound
        } else if position < n_sticky {
            ChosenWhy::Sticky
        } else {
            ChosenWhy::Priority
        };
        verdicts[*index] = Verdict::Chosen { why, position };
    }
    Ranking { order, verdicts }
}

/// Orders one tier, which is never empty and comes sorted by id.
fn take_turns(tier: &mut [usize], candidates: &[Candidate<'_>], policy: Policy, rotation: u64) {
    let n_members = tier.len();
    let turn = u64::try_from(n_members).ok().and_then(|n| rotation.checked_rem(n));
    // The remainder is below a length, so it always fits.
    tier.rotate_left(turn.and_then(|turn| usize::try_from(turn).ok()).unwrap_or(0));
    match policy {
        Policy::RoundRobin => {}
        // Stable, so that equals keep their turn.
        Policy::LeastInFlight => tier.sort_by_key(|index| candidates[*index].in_flight),
    }
}

#[cfg(test)]
mod tests;
