//! `[cors]`: whose browsers may call the admin API from another site. Relay routes are open to none.

use serde::{Deserialize, Deserializer};

use super::Objections;

/// Whose browsers may call the admin API from another site.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CorsSection {
    /// v1's and v2's switch. On its own it lets in nobody.
    pub(crate) enabled: Option<bool>,
    /// Each as `https://host` or `https://host:port`.
    #[serde(deserialize_with = "origins")]
    pub(crate) origins: Vec<String>,
}

impl CorsSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        for origin in &self.origins {
            if !is_origin(origin) {
                let why = format!(
                    "{origin:?} is no origin; expected https://host or https://host:port, without a path, and no *"
                );
                objections.add("cors.origins", why);
            }
        }
        if self.enabled == Some(false) && !self.origins.is_empty() {
            objections.add("cors.enabled", "cors.origins is set; drop one of the two");
        }
    }

    /// The origins that are let in.
    pub(crate) fn allowed(&self) -> &[String] {
        &self.origins
    }
}

/// Whether a browser would send this text as `Origin`.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b);
        !host.is_empty() && host.bytes().all(plain)
    })
}

/// A list, or its entries in one text with commas between them.
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of origins")]
    enum Given {
        Text(String),
        List(Vec<String>),
    }
    let list = match Given::deserialize(deserializer)? {
        Given::Text(text) => text.split(',').map(str::to_owned).collect(),
        Given::List(list) => list,
    };
    let trimmed = list.iter().map(|origin| origin.trim().trim_end_matches('/').to_owned());
    Ok(trimmed.filter(|origin| !origin.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in ["https://a.example", "http://localhost:3000", "https://[::1]:1"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["*", "https://*", "a.example", "https://", "https://a/b", "https://A", "null"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
