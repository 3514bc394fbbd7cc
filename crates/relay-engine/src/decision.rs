//! A ranking as a request's record keeps it: small, whoever is in the pool.

use std::borrow::Cow;

use relay_domain::{RequestRecord, VerdictRecord};
use relay_scheduler::{ChosenWhy, Exclusion, Ranking, Verdict};

use crate::roster::Roster;

/// The verdict on an account outside of the key's group of accounts.
const OUTSIDE: Verdict = Verdict::Excluded(Exclusion::NotInGroup);

/// The verdicts of `ranking`: who was to be tried, in that order, who was not, and who is not in the group of
/// accounts that the key is bound to. Others that were never meant for the request are left out.
pub(crate) fn decision(roster: &Roster, ranking: &Ranking) -> Vec<VerdictRecord> {
    let all = || 0..ranking.verdicts.len();
    let left_out = all().filter(|index| meant(&ranking.verdicts[*index]));
    let outside = all().filter(|index| ranking.verdicts[*index] == OUTSIDE);
    let mut kept = Vec::with_capacity(ranking.verdicts.len().min(RequestRecord::MAX_DECISION));
    for index in ranking
        .order
        .iter()
        .copied()
        .chain(left_out)
        .chain(outside)
        .take(RequestRecord::MAX_DECISION)
    {
        let (Some(entry), Some(verdict)) = (roster.entries.get(index), ranking.verdicts.get(index))
        else {
            continue;
        };
        let (code, until) = match verdict {
            Verdict::Chosen { why, .. } => (code(*why), None),
            Verdict::Excluded(exclusion) => (exclusion.code(), exclusion.until()),
        };
        let account = entry.account.id.clone();
        kept.push(VerdictRecord { account, verdict: Cow::Borrowed(code), until });
    }
    kept
}

/// Whether an account that is not to be tried could have been.
fn meant(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Chosen { .. } => false,
        Verdict::Excluded(exclusion) => !matches!(
            exclusion,
            Exclusion::OtherPlatform
                | Exclusion::NotBound
                | Exclusion::NotInGroup
                | Exclusion::Dedicated
        ),
    }
}

fn code(why: ChosenWhy) -> &'static str {
    match why {
        ChosenWhy::Bound => "bound",
        ChosenWhy::Sticky => "sticky",
        ChosenWhy::Priority => "priority",
    }
}
