//! What a usage costs at the provider, and what of it counts against the budgets of whoever pays.

use relay_domain::{
    CostBreakdown, ModelName, Multiplier, NanoUsd, Platform, ServedTerms, ServiceTier,
};
use relay_pricing::{Charge, PriceBook};
use relay_protocol::anthropic::Served;

use crate::core::Core;
use crate::payer::Payer;

/// What a request comes to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bill {
    /// At the provider, by kind; `None`: the model has no price.
    pub(crate) by_kind: Option<CostBreakdown>,
    /// For the budgets of key and group; `None`: nothing is known, and nobody budgets it.
    pub(crate) charged: Option<NanoUsd>,
}

impl Bill {
    /// What `charge` on `model` comes to at the prices of `book`. If `falls_back`, what has no price is
    /// charged the fallback rate. What is charged is multiplied by the product of `rates`.
    pub(crate) fn of(
        book: &PriceBook,
        (model, charge): (&ModelName, &Charge),
        falls_back: bool,
        rates: &[Multiplier],
    ) -> Self {
        let by_kind = book.quote(model.as_str(), charge).map(|quote| quote.by_kind);
        let charged = by_kind.map(|cost| cost.total());
        let charged = charged.or_else(|| if falls_back { fallback(book, charge) } else { None });
        Self { by_kind, charged: charged.map(|charged| Multiplier::apply_all(rates, charged)) }
    }

    /// At the provider; `None`: the model has no price.
    pub(crate) fn cost(&self) -> Option<NanoUsd> {
        self.by_kind.map(|cost| cost.total())
    }
}

impl Core {
    /// What `charge` on `model` comes to, for whoever pays: at the payer's rate, the service's and the
    /// account's.
    pub(crate) fn bill(
        &self,
        model: &ModelName,
        charge: &Charge,
        payer: Option<&Payer>,
        account_rate: Multiplier,
    ) -> Bill {
        let rates = [payer.map_or(Multiplier::ONE, Payer::rate), self.service_rate(), account_rate];
        let falls_back = payer.is_some_and(Payer::falls_back);
        Bill::of(&self.prices.book(), (model, charge), falls_back, &rates)
    }

    /// By how much the operator has the costs of Claude count, whoever pays.
    pub(crate) fn service_rate(&self) -> Multiplier {
        self.prices.service_rates().of(Platform::ClaudeConsole)
    }
}

/// What `charge` costs at the fallback rate: that of Anthropic's dearest model of which all of it has a
/// price. What is served under a name that nobody knows is hardly dearer than that.
pub(crate) fn fallback(prices: &PriceBook, charge: &Charge) -> Option<NanoUsd> {
    let dearest = |charge: &Charge| {
        let sold = prices.models().filter(|(_, price)| price.price.provider() == "anthropic");
        sold.filter_map(|(_, price)| relay_pricing::cost(&price.price, charge).ok()).max()
    };
    // A mode that none of them sells is reckoned as the usual one.
    dearest(charge).or_else(|| dearest(&Charge::from(charge.usage)))
}

/// On which terms a provider says that it served.
pub(crate) fn terms(served: &Served) -> ServedTerms {
    let tier = served.service_tier.as_deref();
    ServedTerms {
        tier: tier.map_or_else(ServiceTier::default, ServiceTier::served),
        fast: served.speed.as_deref() == Some("fast"),
        us_residency: served.inference_geo.as_deref() == Some("us"),
        web_searches: served.web_search_requests.unwrap_or(0),
    }
}

#[cfg(test)]
mod served_tests;

#[cfg(test)]
mod tests {
    use relay_domain::{TokenCount, TokenUsage};

    use super::*;

    #[test]
    fn the_fallback_rate_is_the_dearest_that_is_known() {
        let prices = PriceBook::builtin().unwrap();
        let usage = TokenUsage { output: TokenCount::new(1_000), ..TokenUsage::ZERO };
        let rate = fallback(&prices, &usage.into()).unwrap();
        let of = |model| prices.quote(model, &usage.into()).unwrap().cost;
        assert!(rate >= of("claude-sonnet-4-5") && rate > NanoUsd::ZERO, "{rate}");
        let odd = Charge { web_searches: 3, fast: true, us_residency: true, ..usage.into() };
        assert!(fallback(&prices, &odd).is_some(), "no mode makes it free");
    }
}
