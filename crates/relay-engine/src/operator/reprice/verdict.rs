//! What a past request should have come to.

use relay_domain::{Multiplier, NanoUsd, RequestRecord, UsageSource};
use relay_pricing::{Charge, PriceBook};
use relay_store::{Price, Uncorrectable};

use crate::charging::{Bill, priced_names};

/// What becomes of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It says what it should.
    Right,
    /// It should say this.
    Changed(Price),
    /// It has no price, and still there is none.
    Unpriced,
    /// It has a price, and now there is none: it stays as it is.
    PriceGone,
    /// It cannot be corrected.
    Not(Uncorrectable),
    /// It was not asked for.
    PassedOver,
}

/// What becomes of `record` at the prices of `book`. `rates` are those of its key, its service and its account
/// by now.
pub(super) fn of(record: &RequestRecord, book: &PriceBook, rates: &[Multiplier]) -> Verdict {
    if record.usage_source == UsageSource::None {
        return Verdict::Not(Uncorrectable::Unused);
    }
    if record.settled_at.is_none() {
        return Verdict::Not(Uncorrectable::Undated);
    }
    let models = priced_names(record, record.served_model.as_ref());
    let bill = Bill::of(book, models, &Charge::from(record), false, rates);
    let Some(cost) = bill.cost() else {
        let had_price = record.cost.is_some();
        return if had_price { Verdict::PriceGone } else { Verdict::Unpriced };
    };
    let price = Price {
        cost: Some(cost),
        cost_by_kind: bill.by_kind,
        charged: charged_as_before(record, cost, rates).or(bill.charged),
    };
    let before = Price::of(record);
    let is_same_by_kind = before.cost_by_kind.is_none_or(|kinds| Some(kinds) == price.cost_by_kind);
    if (before.cost, before.charged) == (price.cost, price.charged) && is_same_by_kind {
        Verdict::Right
    } else {
        Verdict::Changed(price)
    }
}

/// What `cost` counts on the budgets of the key at the rates that the record was charged with; `None`: the
/// record does not tell them.
///
/// If the rates of now make of its cost what it was charged, they are those. Otherwise they have changed
/// since, and what is left of them is the share that the charge has of the cost.
fn charged_as_before(
    record: &RequestRecord,
    cost: NanoUsd,
    rates: &[Multiplier],
) -> Option<NanoUsd> {
    let (before, charged) = (record.cost?, record.charged?);
    if Multiplier::apply_all(rates, before) == charged {
        return Some(Multiplier::apply_all(rates, cost));
    }
    cost.times_share(charged, before)
}

#[cfg(test)]
mod tests {
    use relay_domain::{CostBreakdown, ModelName, Timestamp, TokenCount, TokenUsage};
    use relay_store::contract::fixture::record;

    use super::*;

    const ONE: [Multiplier; 3] = [Multiplier::ONE; 3];

    /// A thousand nano-dollars for each token of `known`.
    fn book() -> PriceBook {
        let price = r#"{"known": {"mode": "chat", "litellm_provider": "anthropic",
            "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}}"#;
        PriceBook::parse(price).unwrap()
    }

    fn nanos(nanos: i64) -> NanoUsd {
        NanoUsd::from_nanos(nanos)
    }

    /// A request of a hundred tokens.
    fn request(model: &str, cost: Option<i64>, charged: Option<i64>) -> RequestRecord {
        RequestRecord {
            model: ModelName::try_from(model).unwrap(),
            served_model: None,
            usage: TokenUsage { output: TokenCount::new(100), ..TokenUsage::ZERO },
            settled_at: Some(Timestamp::from_millis(1)),
            cost: cost.map(nanos),
            charged: charged.map(nanos),
            ..record(0, "k")
        }
    }

    /// What it is corrected to; `None`: it is right.
    fn changed(record: &RequestRecord, rates: &[Multiplier]) -> Option<(i64, i64)> {
        let verdict = of(record, &book(), rates);
        let Verdict::Changed(Price { cost, charged, .. }) = verdict else {
            assert_eq!(verdict, Verdict::Right);
            return None;
        };
        Some((cost?.as_nanos(), charged?.as_nanos()))
    }

    #[test]
    fn a_request_is_charged_at_the_rates_that_it_was_charged_at() {
        let half_more = [Multiplier::from_micros(1_500_000), Multiplier::ONE, Multiplier::ONE];
        let cases = [
            ("as it should be", (Some(100_000), Some(100_000)), ONE, None),
            ("a wrong price", (Some(40_000), Some(40_000)), ONE, Some((100_000, 100_000))),
            ("at today's rate", (Some(40_000), Some(60_000)), half_more, Some((100_000, 150_000))),
            ("at another rate", (Some(40_000), Some(80_000)), half_more, Some((100_000, 200_000))),
            ("free of charge", (Some(40_000), Some(0)), half_more, Some((100_000, 0))),
            ("right, at another rate", (Some(100_000), Some(300_000)), half_more, None),
            ("no price", (None, None), half_more, Some((100_000, 150_000))),
            ("the fallback", (None, Some(999)), half_more, Some((100_000, 150_000))),
            ("had cost nothing", (Some(0), Some(0)), half_more, Some((100_000, 150_000))),
        ];
        for (name, (cost, charged), rates, expected) in cases {
            let request = request("known", cost, charged);
            assert_eq!(changed(&request, &rates), expected, "{name}");
            let Verdict::Changed(price) = of(&request, &book(), &rates) else { continue };
            let Price { cost, cost_by_kind, charged } = price;
            let corrected = RequestRecord { cost, cost_by_kind, charged, ..request };
            let again = of(&corrected, &book(), &rates);
            assert_eq!(again, Verdict::Right, "{name}: nothing is left to change");
        }
    }

    #[test]
    fn the_kinds_of_a_cost_are_corrected_too() {
        let kinds = CostBreakdown { input: nanos(100_000), ..CostBreakdown::ZERO };
        let swapped = RequestRecord {
            cost_by_kind: Some(kinds),
            ..request("known", Some(100_000), Some(100_000))
        };
        let Verdict::Changed(price) = of(&swapped, &book(), &ONE) else { panic!("it is right") };
        assert_eq!(price.cost_by_kind.map(|kinds| kinds.output), Some(nanos(100_000)));
    }

    #[test]
    fn what_cannot_be_recomputed_is_told_apart() {
        let known = request("known", None, None);
        let unused = RequestRecord { usage_source: UsageSource::None, ..known.clone() };
        let undated = RequestRecord { settled_at: None, ..known };
        let cases = [
            (unused, Verdict::Not(Uncorrectable::Unused)),
            (undated, Verdict::Not(Uncorrectable::Undated)),
            (request("other", None, None), Verdict::Unpriced),
            (request("other", None, Some(7)), Verdict::Unpriced),
            (request("other", Some(7), Some(7)), Verdict::PriceGone),
        ];
        for (record, expected) in cases {
            assert_eq!(of(&record, &book(), &ONE), expected);
        }
    }
}
