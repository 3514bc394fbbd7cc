//! v1's service rates: a JSON object of which Relay knows some fields and keeps the others.

use relay_domain::{Multiplier, Service, ServiceRates};
use serde_json::{Map, Value};

use crate::hash::Hash;

/// Reads the rates of the services that Relay knows. v1 takes what is no number of zero or more for one.
pub(super) fn parse(hash: &Hash) -> ServiceRates {
    let rates = object(hash.text("serviceRates")).into_iter();
    let known = rates.filter_map(|(name, rate)| {
        let Value::Number(rate) = rate else { return None };
        // A float prints without an exponent, and as the shortest decimal that means it.
        let rate = Multiplier::nearest(&rate.as_f64()?.to_string()).ok()?;
        Some((Service::named(&name)?, rate))
    });
    known.collect()
}

/// The object with these rates, and with what `stored` has besides.
pub(super) fn text(rates: &ServiceRates, stored: Option<&str>) -> String {
    let mut object = object(stored);
    object.retain(|name, _| Service::named(name).is_none());
    for (service, rate) in rates.pairs() {
        // A multiplier is always a number.
        object.insert(service.name().to_owned(), serde_json::to_value(rate).unwrap_or_default());
    }
    Value::Object(object).to_string()
}

fn object(text: Option<&str>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_what_is_unknown_stays() {
        let stored =
            r#"{"claude":1.5,"codex":0.3333333333,"new":{"a":[1]},"droid":"2","azure":-1}"#;
        let mut rates = parse(&Hash::from([("serviceRates", stored)]));
        let micros = |service| rates.of(service).as_micros();
        assert_eq!(micros(Service::Claude), 1_500_000);
        assert_eq!(micros(Service::Codex), 333_333);
        for service in [Service::Droid, Service::Azure, Service::Gemini] {
            assert_eq!(micros(service), 1_000_000, "{service:?}");
        }
        rates.set(Service::Claude, Multiplier::from_micros(2_000_000));
        assert_eq!(text(&rates, Some(stored)), r#"{"claude":2,"codex":0.333333,"new":{"a":[1]}}"#);
        assert_eq!(text(&ServiceRates::default(), None), "{}");
        for unreadable in ["", "[]", "{"] {
            assert_eq!(parse(&Hash::from([("serviceRates", unreadable)])), ServiceRates::default());
        }
    }
}
