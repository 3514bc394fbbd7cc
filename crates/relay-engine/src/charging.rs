//! What a usage costs at the provider, and what of it counts against the budgets of whoever pays.

use relay_domain::{
    CostBreakdown, Edit, ModelName, Multiplier, NanoUsd, Platform, RequestRecord, ServedTerms,
    ServiceTier,
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
    /// What the account's budgets count where that is not known.
    pub(crate) presumed: Option<NanoUsd>,
    /// For the budgets of key and group; `None`: nothing is known, and nobody budgets it.
    pub(crate) charged: Option<NanoUsd>,
}

impl Bill {
    /// What `charge` comes to at the prices of `book`, on the first of `models`. What has no price there is
    /// presumed to cost what it does on the first of them that has one, or else by the fallback; it is charged
    /// if `falls_back`. What is charged is multiplied by the product of `rates`.
    pub(crate) fn of<'a>(
        book: &PriceBook,
        models: impl Iterator<Item = &'a str> + Clone,
        charge: &Charge,
        falls_back: bool,
        rates: &[Multiplier],
    ) -> Self {
        let quote = models.clone().next().and_then(|model| book.quote(model, charge));
        let by_kind = quote.map(|quote| quote.by_kind);
        let presumed = by_kind.is_none().then(|| book.reckoning(models).of(charge));
        let charged = by_kind.map(|cost| cost.total()).or(presumed.filter(|_| falls_back));
        let charged = charged.map(|charged| Multiplier::apply_all(rates, charged));
        Self { by_kind, presumed, charged }
    }

    /// At the provider; `None`: the model has no price.
    pub(crate) fn cost(&self) -> Option<NanoUsd> {
        self.by_kind.map(|cost| cost.total())
    }
}

/// The names under which a request may have a price, the one that it costs first: what the answer says was
/// served, what the account was asked for, what the client asked for.
pub(crate) fn priced_names<'a>(
    record: &'a RequestRecord,
    served: Option<&'a ModelName>,
) -> impl Iterator<Item = &'a str> + Clone {
    let sent = record.edits.iter().rev().map(|edit| match edit {
        Edit::Model { to } => to.as_str(),
    });
    served.map(ModelName::as_str).into_iter().chain(sent).chain([record.model.as_str()])
}

impl Core {
    /// What `charge` on the first of `models` comes to, for whoever pays: at the payer's rate, the service's
    /// and the account's.
    pub(crate) fn bill<'a>(
        &self,
        models: impl Iterator<Item = &'a str> + Clone,
        charge: &Charge,
        payer: Option<&Payer>,
        account_rate: Multiplier,
    ) -> Bill {
        let rates = [payer.map_or(Multiplier::ONE, Payer::rate), self.service_rate(), account_rate];
        let falls_back = payer.is_some_and(Payer::falls_back);
        Bill::of(&self.prices.book(), models, charge, falls_back, &rates)
    }

    /// By how much the operator has the costs of Claude count, whoever pays.
    pub(crate) fn service_rate(&self) -> Multiplier {
        self.prices.service_rates().of(Platform::ClaudeConsole)
    }
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

    /// A dollar a million tokens.
    const FALLBACK: &str = r#"{"standard": {"input": 1000000, "output": 1000000}}"#;

    fn book() -> PriceBook {
        let builtin = relay_pricing::PriceTable::builtin().unwrap();
        let fallback = serde_json::from_str(FALLBACK).unwrap();
        let overrides = [(relay_pricing::book::FALLBACK.to_owned(), fallback)].into();
        PriceBook::compose(&[(relay_pricing::Origin::Builtin, &builtin)], &overrides)
    }

    #[test]
    fn what_has_no_price_is_charged_by_what_was_asked_for_or_the_operators_fallback() {
        let million = TokenUsage { output: TokenCount::new(1_000_000), ..TokenUsage::ZERO };
        let cases = [
            ("served as asked", &["claude-haiku-4-5"][..], Some("5.00"), "5.00"),
            ("served as sent", &["claude-opus-5", "fast-model"], Some("25.00"), "25.00"),
            ("an unknown name", &["mystery-9", "claude-haiku-4-5"], None, "5.00"),
            ("sent as another", &["mystery-9", "claude-opus-5", "fast-model"], None, "25.00"),
            ("nobody knows any", &["mystery-9", "mystery-10"], None, "1.00"),
        ];
        for (name, models, cost, charged) in cases {
            let bill = |falls_back| {
                let models = models.iter().copied();
                Bill::of(&book(), models, &million.into(), falls_back, &[Multiplier::ONE])
            };
            let (free, budgeted) = (bill(false), bill(true));
            let text = |amount: Option<NanoUsd>| amount.map(|amount| amount.to_string());
            assert_eq!(text(budgeted.cost()).as_deref(), cost, "{name}: it stays unknown");
            assert_eq!(text(budgeted.charged).as_deref(), Some(charged), "{name}");
            assert_eq!(text(free.charged).as_deref(), cost, "{name}: nobody budgets it");
            let counted = free.cost().or(free.presumed);
            assert_eq!(
                text(counted).as_deref(),
                Some(charged),
                "{name}: the account's provider does"
            );
        }
    }
}
