//! `[metrics]`: where Prometheus may read.

use std::net::SocketAddr;

use serde::Deserialize;

use super::Objections;

/// Where Prometheus may read. Nowhere, unless an address is given.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MetricsSection {
    listen: Option<String>,
}

impl MetricsSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        if self.listen.is_some() && self.listen().is_none() {
            let why = "expected an address and a port, such as 127.0.0.1:9464";
            objections.add("metrics.listen", why);
        }
    }

    /// Where to listen; `None`: nothing is counted.
    pub(crate) fn listen(&self) -> Option<SocketAddr> {
        self.listen.as_deref()?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Environment, FileChoice};

    #[test]
    fn nobody_reads_unless_an_address_is_given() {
        let load = |address| {
            let environment = Environment::from([("RELAY_METRICS_LISTEN", address)]);
            Config::load(&environment, FileChoice::Ignored)
        };
        assert_eq!(load("").unwrap().sections.metrics.listen(), None);
        let address = load("[::1]:9464").unwrap().sections.metrics.listen();
        assert_eq!(address, Some("[::1]:9464".parse().unwrap()));
        for wrong in ["9464", "localhost:9464", ":9464", "127.0.0.1"] {
            let refusal = load(wrong).unwrap_err().to_string();
            assert!(refusal.contains("RELAY_METRICS_LISTEN"), "{wrong}: {refusal}");
        }
    }
}
