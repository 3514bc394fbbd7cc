//! v1's document of service rates.

use relay_domain::{Multiplier, Service, ServiceRates};
use relay_store::{SettingsName, StoreError};
use serde_json::{Map, Value, json};

use super::overrides::corrupt;

/// v1's document: `{baseService, rates: {service: number}, updatedAt, updatedBy}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceRatesDocument {
    /// The service whose rate the others are thought of by; it bears on nothing.
    pub base_service: String,
    /// The rates.
    pub rates: ServiceRates,
    /// When they were set, as v1 writes it.
    pub updated_at: Option<String>,
    /// Who set them.
    pub updated_by: Option<String>,
}

impl Default for ServiceRatesDocument {
    fn default() -> Self {
        let base_service = Service::Claude.name().to_owned();
        Self { base_service, rates: ServiceRates::default(), updated_at: None, updated_by: None }
    }
}

/// Reads the document as v1 does: what is absent is the default, and a rate that is none counts as one.
pub(super) fn parse(document: Option<&str>) -> Result<ServiceRatesDocument, StoreError> {
    let Some(json) = document else { return Ok(ServiceRatesDocument::default()) };
    let fields = fields(json)?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let default = ServiceRatesDocument::default();
    let rates = fields.get("rates").and_then(Value::as_object);
    let rates = rates
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((Service::named(name)?, rate(name, value))));
    Ok(ServiceRatesDocument {
        base_service: text("baseService").unwrap_or(default.base_service),
        rates: rates.collect(),
        updated_at: text("updatedAt"),
        updated_by: text("updatedBy"),
    })
}

/// Writes the document over what was there: what Relay does not know of it stays.
pub(super) fn print(over: Option<&str>, next: &ServiceRatesDocument) -> Result<String, StoreError> {
    let mut fields = over.map_or(Ok(Map::new()), fields)?;
    let old_rates = fields.remove("rates").and_then(|rates| rates.as_object().cloned());
    let mut rates = old_rates.unwrap_or_default();
    for service in Service::ALL {
        rates.insert(service.name().to_owned(), json!(next.rates.of(service)));
    }
    fields.insert("baseService".to_owned(), json!(next.base_service));
    fields.insert("rates".to_owned(), Value::Object(rates));
    fields.insert("updatedAt".to_owned(), json!(next.updated_at));
    fields.insert("updatedBy".to_owned(), json!(next.updated_by));
    Ok(Value::Object(fields).to_string())
}

fn fields(json: &str) -> Result<Map<String, Value>, StoreError> {
    serde_json::from_str(json).map_err(|error| corrupt(SettingsName::ServiceRates, &error))
}

/// A rate as v1 wrote it; it may be finer than a millionth, and a text.
fn rate(service: &str, value: &Value) -> Multiplier {
    let read = match value {
        Value::Number(number) => number.as_f64().map(|number| number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let rate = read.and_then(|text| Multiplier::nearest(&text).ok());
    rate.unwrap_or_else(|| {
        if !value.is_null() {
            tracing::warn!(service, "a service rate that is none counts as one");
        }
        Multiplier::ONE
    })
}

#[cfg(test)]
mod tests {
    use relay_domain::Platform;

    use super::*;

    #[test]
    fn v1s_document_is_read_as_v1_reads_it() {
        let document = parse(Some(
            r#"{"baseService":"codex","rates":{"claude":1.5,"codex":0,"gemini":"0.25","droid":null,
                "bedrock":-1,"azure":0.3333333333333333,"new":7},"updatedAt":"2026-01-02T03:04:05.678Z",
                "updatedBy":"admin"}"#,
        ))
        .unwrap();
        let rates = Service::ALL.map(|service| document.rates.of(service).as_micros());
        assert_eq!(
            rates,
            [1_500_000, 1_000_000, 250_000, 1_000_000, 1_000_000, 333_333, 1_000_000]
        );
        assert_eq!(document.rates.of(Platform::ClaudeConsole).to_string(), "1.5");
        assert_eq!(document.base_service, "codex");
        assert_eq!(document.updated_by.as_deref(), Some("admin"));
        for absent in [None, Some("{}"), Some(r#"{"rates": []}"#)] {
            assert_eq!(parse(absent).unwrap(), ServiceRatesDocument::default(), "{absent:?}");
        }
        for corrupt in ["", "nonsense", "[]"] {
            assert!(matches!(parse(Some(corrupt)), Err(StoreError::Corrupt { .. })), "{corrupt}");
        }
    }

    #[test]
    fn v1_can_read_what_is_written_and_what_is_unknown_stays() {
        let old = r#"{"baseService":"claude","rates":{"claude":1,"new":7},"note":"mine"}"#;
        let next = ServiceRatesDocument {
            base_service: "claude".to_owned(),
            rates: [(Service::Claude, Multiplier::from_micros(1_250_000))].into_iter().collect(),
            updated_at: Some("2026-01-01T00:00:00.000Z".to_owned()),
            updated_by: Some("root".to_owned()),
        };
        let written = print(Some(old), &next).unwrap();
        let shown: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(
            shown,
            json!({"baseService": "claude", "note": "mine",
                "rates": {"claude": 1.25, "codex": 1, "gemini": 1, "droid": 1, "bedrock": 1, "azure": 1,
                    "ccr": 1, "new": 7},
                "updatedAt": "2026-01-01T00:00:00.000Z", "updatedBy": "root"})
        );
        assert_eq!(parse(Some(&written)).unwrap(), next);
    }
}
