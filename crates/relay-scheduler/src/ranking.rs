//! The answer: who is tried in what order, and a verdict on everyone.

use std::fmt;

use relay_domain::Timestamp;

use crate::{Exclusion, Shortage};

/// A decision. Its order is also the failover order.
///
/// It holds indexes into the candidates it was made from, so it says nothing without them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ranking {
    /// Whom to try, first to last, as indexes into the candidates.
    pub order: Vec<usize>,
    /// What was decided about each candidate, at the candidate's index.
    pub verdicts: Vec<Verdict>,
}

impl Ranking {
    /// The candidate to try first, if there is one.
    pub fn first(&self) -> Option<usize> {
        self.order.first().copied()
    }

    /// The soonest moment at which an account that rests, or whose quota is spent, is well again.
    ///
    /// `None` if there is none whose end is known.
    pub fn earliest_recovery(&self) -> Option<Timestamp> {
        self.exclusions().filter_map(Exclusion::until).min()
    }

    /// What is short, were there nobody to try: from it follow the status and the `retry-after` of
    /// the answer. It looks at the exclusions alone, so ask it when `order` is empty or used up.
    pub fn shortage(&self) -> Shortage {
        Shortage::of(self.exclusions())
    }

    fn exclusions(&self) -> impl Iterator<Item = &Exclusion> {
        self.verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Excluded(exclusion) => Some(exclusion),
            Verdict::Chosen { .. } => None,
        })
    }
}

/// What was decided about one account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may serve the request.
    Chosen {
        /// What gave it its place.
        why: ChosenWhy,
        /// Its place in the order, from 0.
        position: usize,
    },
    /// It may not, and this is why.
    Excluded(Exclusion),
}

impl fmt::Display for Verdict {
    /// A sentence for an operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen { why, position } => {
                write!(f, "number {} to try: {why}", position.saturating_add(1))
            }
            Self::Excluded(exclusion) => write!(f, "not to be tried: {exclusion}"),
        }
    }
}

/// What gave an account its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChosenWhy {
    /// The key is bound to it.
    Bound,
    /// It served the conversation so far.
    Sticky,
    /// Its priority, and the policy among those of the same priority.
    Priority,
}

impl fmt::Display for ChosenWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound => "the key is bound to it",
            Self::Sticky => "it served the conversation so far",
            Self::Priority => "by its priority and its turn",
        })
    }
}

#[cfg(test)]
mod tests {
    use relay_domain::{NanoUsd, PenaltyReason};

    use crate::Ask;
    use crate::pool::{Member, ask, at, id, ranking, rest};

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
}
