//! By how much counters and sums are others once a request is corrected: the fields and names that
//! `settle.lua` counts money under.

use std::time::Duration;

use relay_domain::{Calendar, LimitPeriodKind, NanoUsd, Period, Timestamp};
use relay_store::{Correction, UsageScope};

use super::amounts::Amounts;
use super::costs;
use super::families::{Counted, minute};
use crate::call::Call;
use crate::keyspace::Keyspace;

/// What a correction adds to counters and sums; less than nothing where it takes away.
pub(crate) struct Differences {
    before: Amounts,
    after: Amounts,
}

impl Differences {
    /// Those of `correction`.
    pub(crate) fn of(correction: &Correction) -> Self {
        let after = Amounts::of(&correction.after());
        Self { before: Amounts::of(correction.before()), after }
    }

    /// Appends counters, then sums, as `correct.lua` takes them.
    pub(crate) fn write(
        &self,
        correction: &Correction,
        calendar: Calendar,
        now: Timestamp,
        (keyspace, call): (&Keyspace, &mut Call<'_>),
    ) {
        let counted_at = correction.counted_at();
        let periods = calendar.periods(counted_at);
        let counters = Counted::by(correction.before(), minute(counted_at));
        let counters = counters.iter().map(|counted| (counted, self.fields(counted)));
        let counters: Vec<_> = counters.filter(|(_, fields)| !fields.is_empty()).collect();
        let names = |counted: &Counted| counted.names(periods, keyspace);
        call.arg(counters.iter().map(|(counted, _)| names(counted).len()).sum::<usize>());
        for (counted, fields) in &counters {
            for name in names(counted) {
                call.name(name);
                call.arg(fields.len());
                for (field, difference) in fields {
                    call.arg(*field);
                    call.arg(*difference);
                }
            }
        }

        let week =
            calendar.limit_period(LimitPeriodKind::Week, correction.key_starts(), counted_at);
        let week = week.to_string();
        let key = &correction.before().key;
        let sums = costs::sums(key, periods, &week, &self.amounts(), keyspace);
        let sums: Vec<_> = sums.into_iter().filter(|(_, sum, _)| *sum != NanoUsd::ZERO).collect();
        call.name(keyspace.counter(&UsageScope::Key(key.clone()), Period::Total));
        call.arg(sums.len());
        for (name, sum, lifetime) in sums {
            call.name(name);
            call.arg(sum.to_string());
            // Each addition to a sum begins its lifetime anew: at least until then it would be there.
            let ends = |seconds| counted_at.plus(Duration::from_secs(seconds));
            call.optional(lifetime.map(|seconds| ends(seconds).since(now).as_secs()));
        }
    }

    /// The money alone, as amounts.
    fn amounts(&self) -> Amounts {
        let (before, after) = (&self.before, &self.after);
        Amounts {
            cost: after.cost - before.cost,
            charged: after.charged - before.charged,
            claude_cost: after.claude_cost - before.claude_cost,
            claude_charged: after.claude_charged - before.claude_charged,
            ..Amounts::default()
        }
    }

    /// The fields of every hash of a counter in which it counts money, and the differences.
    fn fields(&self, counted: &Counted) -> Vec<(&'static str, i64)> {
        let (before, after) = (&self.before, &self.after);
        let money = |after: NanoUsd, before: NanoUsd| (after - before).as_nanos();
        let unpriced = |amounts: &Amounts| i64::from(amounts.unpriced_requests > 0);
        let exact = [
            ("costNano", money(after.cost, before.cost)),
            ("chargedNano", money(after.charged, before.charged)),
            ("unpricedRequests", unpriced(after) - unpriced(before)),
        ];
        let claude = ("claudeNano", money(counted.claude(after), counted.claude(before)));
        let mut fields = match counted {
            Counted::Key(_) | Counted::Model(_) => exact.to_vec(),
            Counted::Account(_) => {
                let presumed = money(after.presumed, before.presumed);
                [&exact[..], &[claude, ("presumedNano", presumed)]].concat()
            }
            Counted::Group(_) => [&exact[..], &[claude]].concat(),
            Counted::KeyModel(..) => vec![
                ("realCostMicro", after.cost_micros - before.cost_micros),
                ("ratedCostMicro", after.charged_micros - before.charged_micros),
            ],
            Counted::AccountModel(..) | Counted::Everything | Counted::Minute(_) => Vec::new(),
        };
        fields.retain(|(_, difference)| *difference != 0);
        fields
    }
}
