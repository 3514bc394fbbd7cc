//! `[webhooks]`: who is told of events.

use relay_engine::alerts::{WebhookConfig, WebhookUrl};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

use super::Objections;
use super::security::{is_placeholder, secret};

/// Below this a signature could be forged by trying secrets.
const SHORTEST_SECRET: usize = 16;
/// Every event is sent to each of them.
const MOST_URLS: usize = 8;

/// Who is told of events. Nobody, unless a URL is named.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebhooksSection {
    /// Such a URL is often a secret itself.
    #[serde(deserialize_with = "urls")]
    urls: Vec<SecretString>,
    #[serde(deserialize_with = "secret")]
    pub(crate) secret: Option<SecretString>,
    pub(crate) allow_private: bool,
}

impl WebhooksSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        for url in &self.urls {
            // The value is not repeated: it may be a secret.
            if let Err(why) = WebhookUrl::parse(url.expose_secret(), self.allow_private) {
                objections.add("webhooks.urls", format!("one of them cannot be used: {why}"));
            }
        }
        if MOST_URLS < self.urls.len() {
            objections.add("webhooks.urls", format!("there are more than {MOST_URLS}"));
        }
        match &self.secret {
            Some(secret) if is_placeholder(secret) => {
                let why = "it is a placeholder that everybody knows; choose another";
                objections.add("webhooks.secret", why);
            }
            Some(secret) if secret.expose_secret().len() < SHORTEST_SECRET => {
                let why = format!("it has fewer than {SHORTEST_SECRET} characters");
                objections.add("webhooks.secret", why);
            }
            None if !self.urls.is_empty() => {
                let why = "what is told is signed: webhooks.urls needs a secret that the receivers know too";
                objections.add("webhooks.secret", why);
            }
            Some(_) | None => {}
        }
    }

    /// Each URL that can be used, as it may be shown: scheme and host.
    pub(super) fn shown(&self) -> Vec<String> {
        self.parsed().iter().map(ToString::to_string).collect()
    }

    /// Whom to tell; `None`: nobody.
    pub(crate) fn config(&self) -> Option<WebhookConfig> {
        let urls = self.parsed();
        let secret = self.secret.clone().filter(|_| !urls.is_empty())?;
        Some(WebhookConfig { urls, secret, allow_private: self.allow_private })
    }

    fn parsed(&self) -> Vec<WebhookUrl> {
        let parse = |url: &SecretString| WebhookUrl::parse(url.expose_secret(), self.allow_private);
        self.urls.iter().filter_map(|url| parse(url).ok()).collect()
    }
}

/// A list, or its entries in one text with commas between them.
fn urls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of URLs")]
    enum Given {
        Text(String),
        List(Vec<String>),
    }
    let list = match Given::deserialize(deserializer)? {
        Given::Text(text) => text.split(',').map(str::to_owned).collect(),
        Given::List(list) => list,
    };
    let trimmed = list.iter().map(|url| url.trim()).filter(|url| !url.is_empty());
    Ok(trimmed.map(SecretString::from).collect())
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Environment, FileChoice};

    const SECRET: (&str, &str) = ("RELAY_WEBHOOK_SECRET", "0123456789abcdef");

    fn refusal<const N: usize>(variables: [(&str, &str); N]) -> String {
        let config = Config::load(&Environment::from(variables), FileChoice::Ignored);
        config.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_told_is_signed_and_goes_where_it_may() {
        let url = ("RELAY_WEBHOOK_URLS", "https://hooks.example/hidden, https://b.example/");
        let config = Config::load(&Environment::from([url, SECRET]), FileChoice::Ignored).unwrap();
        let webhooks = &config.sections.webhooks;
        assert_eq!(webhooks.shown(), ["https://hooks.example", "https://b.example"]);
        assert!(!format!("{webhooks:?}").contains("hidden"));
        assert_eq!(webhooks.config().unwrap().urls.len(), 2);

        assert!(refusal([url]).contains("webhooks.secret"), "{}", refusal([url]));
        for secret in ["short", "change-me-change-me"] {
            let why = refusal([url, ("RELAY_WEBHOOK_SECRET", secret)]);
            assert!(why.contains("webhooks.secret") && !why.contains(secret), "{why}");
        }
        for bad in ["http://169.254.169.254/hidden", "http://127.0.0.1/hidden", "hidden"] {
            let why = refusal([("RELAY_WEBHOOK_URLS", bad), SECRET]);
            assert!(why.contains("webhooks.urls") && !why.contains("hidden"), "{why}");
        }
        let private = ("RELAY_WEBHOOK_ALLOW_PRIVATE", "true");
        assert_eq!(refusal([("RELAY_WEBHOOK_URLS", "http://127.0.0.1/"), SECRET, private]), "");
        let metadata =
            refusal([("RELAY_WEBHOOK_URLS", "http://169.254.169.254/"), SECRET, private]);
        assert!(metadata.contains("webhooks.urls"), "{metadata}");
    }

    #[test]
    fn nobody_is_told_unless_named() {
        let config = Config::load(&Environment::from([SECRET]), FileChoice::Ignored).unwrap();
        assert!(config.sections.webhooks.config().is_none());
    }
}
