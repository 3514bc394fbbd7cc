//! `[pricing]`: where prices come from.

use std::path::PathBuf;
use std::time::Duration;

use relay_engine::prices::{PriceSource, PriceUrl};
use serde::Deserialize;

use super::Objections;

/// v1's name of the table below the base of its mirror.
const MIRROR_FILENAME: &str = "model_prices_and_context_window.json";

/// Where prices come from. At most one source besides the builtin table.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PricingSection {
    pub(crate) file: Option<PathBuf>,
    pub(crate) url: Option<String>,
    pub(crate) sha256_url: Option<String>,
    pub(crate) refresh_minutes: u64,
    /// v1's names for the URL and its hash.
    pub(crate) mirror_json_url: Option<String>,
    pub(crate) mirror_hash_url: Option<String>,
    pub(crate) mirror_base_url: Option<String>,
    pub(crate) mirror_filename: Option<String>,
}

impl Default for PricingSection {
    fn default() -> Self {
        Self {
            file: None,
            url: None,
            sha256_url: None,
            refresh_minutes: 60,
            mirror_json_url: None,
            mirror_hash_url: None,
            mirror_base_url: None,
            mirror_filename: None,
        }
    }
}

impl PricingSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        // A week; a source that is asked less often is a file.
        objections.within("pricing.refresh_minutes", self.refresh_minutes, 1..=10_080);
        if let Err((path, why)) = self.source() {
            objections.add(path, why);
        }
    }

    /// How often a URL is asked again.
    pub(crate) fn refresh(&self) -> Duration {
        Duration::from_mins(self.refresh_minutes)
    }

    /// Where prices come from. Relay's own names come before v1's.
    ///
    /// # Errors
    ///
    /// Which setting cannot be used, and why.
    pub(crate) fn source(&self) -> Result<PriceSource, (&'static str, String)> {
        if let Some(path) = &self.file {
            if self.url.is_some() {
                let why = "is given together with pricing.url: give one of them";
                return Err(("pricing.file", why.to_owned()));
            }
            return Ok(PriceSource::File(path.clone()));
        }
        let (path, table) = match (&self.url, &self.mirror_json_url, &self.mirror_base_url) {
            (Some(url), _, _) => ("pricing.url", url.clone()),
            (None, Some(url), _) => ("pricing.mirror_json_url", url.clone()),
            (None, None, Some(base)) => {
                let file = self.mirror_filename.as_deref().unwrap_or(MIRROR_FILENAME);
                ("pricing.mirror_base_url", format!("{}/{file}", base.trim_end_matches('/')))
            }
            (None, None, None) => return Ok(PriceSource::Builtin),
        };
        let sha256 = match (&self.sha256_url, &self.mirror_hash_url) {
            (Some(url), _) => Some(parsed("pricing.sha256_url", url)?),
            // v1's hash belongs to v1's table.
            (None, Some(url)) if self.url.is_none() => {
                Some(parsed("pricing.mirror_hash_url", url)?)
            }
            (None, _) => None,
        };
        Ok(PriceSource::Url { table: parsed(path, &table)?, sha256 })
    }
}

/// A URL of prices, as it may be shown: without its query, which may hold a token.
pub(super) fn shown(url: &str) -> String {
    PriceUrl::parse(url).map_or_else(|_| url.to_owned(), |url| url.to_string())
}

fn parsed(path: &'static str, url: &str) -> Result<PriceUrl, (&'static str, String)> {
    // The value is not repeated: there may be a token in it.
    PriceUrl::parse(url).map_err(|error| (path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, FileChoice};

    fn source<const N: usize>(variables: [(&str, &str); N]) -> String {
        let config = Config::load(&Environment::from(variables), FileChoice::Ignored);
        match config {
            Ok(config) => match config.sections.pricing.source() {
                Ok(PriceSource::Url { table, sha256: Some(sha256) }) => format!("{table} {sha256}"),
                Ok(source) => source.to_string(),
                Err((_, why)) => why,
            },
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn relays_names_come_before_v1s() {
        let json = ("PRICE_MIRROR_JSON_URL", "https://json.example/p.json");
        let base = ("PRICE_MIRROR_BASE_URL", "https://base.example/prices/");
        let hash = ("PRICE_MIRROR_HASH_URL", "https://hash.example/p.sha256");
        let url = ("RELAY_PRICES_URL", "https://own.example/p.json?token=hidden");
        let sha256 = ("RELAY_PRICES_SHA256_URL", "https://own.example/p.sha256");
        assert_eq!(source([]), "builtin");
        assert_eq!(
            source([("RELAY_PRICES_FILE", "/etc/relay/prices.json"), json]),
            "/etc/relay/prices.json"
        );
        assert_eq!(source([url, json, base, hash]), "https://own.example/p.json");
        assert_eq!(
            source([url, sha256]),
            "https://own.example/p.json https://own.example/p.sha256"
        );
        assert_eq!(source([json, base]), "https://json.example/p.json");
        assert_eq!(
            source([base, hash]),
            "https://base.example/prices/model_prices_and_context_window.json https://hash.example/p.sha256"
        );
        let named = [base, ("PRICE_MIRROR_FILENAME", "p.json")];
        assert_eq!(source(named), "https://base.example/prices/p.json");
    }

    #[test]
    fn what_is_no_source_is_refused_without_repeating_it() {
        let both = [("RELAY_PRICES_FILE", "p.json"), ("RELAY_PRICES_URL", "https://h/p.json")];
        assert!(source(both).contains("pricing.file"), "{}", source(both));
        for url in ["hidden", "ftp://hidden/p.json", "https://user:hidden@h/p.json"] {
            let why = source([("RELAY_PRICES_URL", url)]);
            assert!(why.contains("pricing.url") && !why.contains("hidden"), "{why}");
        }
        for minutes in ["0", "10081"] {
            let why = source([("RELAY_PRICES_REFRESH_MINUTES", minutes)]);
            assert!(why.contains("pricing.refresh_minutes"), "{why}");
        }
    }

    #[test]
    fn a_token_in_a_url_is_not_shown() {
        assert_eq!(shown("https://h/p.json?token=hidden"), "https://h/p.json");
    }
}
