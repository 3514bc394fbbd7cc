//! What an operator should know of a configuration that is taken.

use super::environment::Zero;
use super::settings::Setting;
use super::{Config, Environment, SETTINGS, Shown, StoreKind, ignored};

/// What an operator should know of a configuration that is taken.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// What may not be meant so.
    pub(crate) warnings: Vec<String>,
    /// Variables that look like Relay's and are not: misspelled, perhaps.
    pub(crate) strays: Vec<String>,
    /// Variables of v1 and v2 that are set and mean nothing here.
    pub(crate) ignored: Vec<String>,
}

impl Notices {
    /// Looks through `config`, which `environment` has led to.
    pub(super) fn of(config: &Config, environment: &Environment) -> Self {
        let mut warnings = Vec::new();
        let zone = config.origin("store.timezone");
        for (variable, zero) in environment.zeros() {
            match zero {
                Zero::Taken { .. }
                    if variable == "TIMEZONE_OFFSET"
                        && (config.compat().is_some() || zone.is_some()) => {}
                Zero::Taken { v1 } => {
                    warnings.push(format!("{variable}=0 is taken as 0; v1 took it for {v1}"));
                }
                Zero::PassedOver(setting) => warnings.push(format!(
                    "{variable}=0 counts as not set, because nothing could be served with it; {} is {}",
                    setting.path,
                    in_force(setting, config)
                )),
            }
        }
        if let (Some(zone), Some(offset)) = (zone, config.origin("store.timezone_offset")) {
            warnings.push(format!(
                "store.timezone (from {zone}) and store.timezone_offset (from {offset}) are both set; \
                 days are counted by store.timezone"
            ));
        }
        for (winner, other) in environment.rivals() {
            warnings.push(format!("{winner} and {other} are both set and differ; {winner} holds"));
        }
        let sections = &config.sections;
        if config.store_kind() == StoreKind::Sqlite && sections.redis.is_named() {
            warnings.push("a Redis is named and not used, because store.kind is sqlite".to_owned());
        }
        if sections.cors.enabled == Some(true) && sections.cors.origins.is_empty() {
            let text =
                "ENABLE_CORS lets in nobody by itself; name the origins in RELAY_CORS_ORIGINS";
            warnings.push(text.to_owned());
        }
        let (lifetime, renewal) = (sections.sticky.lifetime(), sections.sticky.renewal());
        if !lifetime.is_zero() && lifetime <= renewal {
            let text = "sticky.renewal_minutes is not below sticky.lifetime_hours: every request renews its binding";
            warnings.push(text.to_owned());
        }
        if sections.secrets.encryption_key_is_known() {
            let text = "ENCRYPTION_KEY is a placeholder that everybody knows, taken because RELAY_COMPAT is set: \
                        whoever can read the store can open the accounts";
            warnings.push(text.to_owned());
        }
        Self { warnings, strays: environment.strays(), ignored: environment.ignored() }
    }

    /// Each ignored variable with the reason.
    pub(crate) fn ignored(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.ignored.iter().map(|name| {
            (name.as_str(), ignored::why_ignored(name).unwrap_or("it means nothing to Relay"))
        })
    }

    /// What may not be meant so, misspelled variables among it, as sentences.
    pub(crate) fn doubts(&self) -> impl Iterator<Item = String> {
        let strays = self.strays.iter().map(|name| match nearest(name) {
            Some(known) => format!("{name} is not a setting of Relay; is {known} meant?"),
            None => format!("{name} is not a setting of Relay"),
        });
        self.warnings.iter().cloned().chain(strays)
    }
}

/// The effective value of `setting`, which is none that is secret.
fn in_force(setting: &Setting, config: &Config) -> String {
    match setting.show(config) {
        Shown::Value(value) => value,
        Shown::Secret | Shown::Unset => "not set".to_owned(),
    }
}

/// The variable that a misspelled one may be meant for.
fn nearest(name: &str) -> Option<&'static str> {
    let known = SETTINGS.iter().flat_map(Setting::variables).map(|(known, _)| known);
    let (distance, known) = known.map(|known| (edits(name, known), known)).min()?;
    (distance <= 2).then_some(known)
}

/// How many letters have to change.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_name_leads_to_the_right_one() {
        assert_eq!(nearest("RELAY_WORKRES"), Some("RELAY_WORKERS"));
        assert_eq!(nearest("RELAY_PORT"), None);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
