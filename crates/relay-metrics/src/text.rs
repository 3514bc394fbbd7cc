//! The text that Prometheus reads.

use std::fmt;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;

/// What the text is, for the answer's head.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Writes all that `registries` know.
pub(crate) fn write(registries: &[&Registry]) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(32 * 1024);
    for registry in registries {
        prometheus_text::encode(&mut text, registry)?;
    }
    Ok(text)
}

#[cfg(test)]
pub(crate) mod tests {
    use prometheus_client::registry::Metric;

    use super::*;

    pub(crate) fn text_of(name: &str, metric: impl Metric) -> String {
        let mut registry = Registry::default();
        registry.register(name, "Help", metric);
        text_of_registry(&registry)
    }

    pub(crate) fn text_of_registry(registry: &Registry) -> String {
        write(&[registry]).unwrap()
    }
}
