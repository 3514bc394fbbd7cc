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
    /// `served` is the address of the relay itself.
    pub(super) fn validate(&self, served: SocketAddr, objections: &mut Objections) {
        let Some(listen) = self.listen() else {
            if self.listen.is_some() {
                let why = "expected an address and a port, such as 127.0.0.1:9464";
                objections.add("metrics.listen", why);
            }
            return;
        };
        let is_every = |address: SocketAddr| address.ip().is_unspecified();
        let overlap = listen.ip() == served.ip() || is_every(listen) || is_every(served);
        if listen.port() == served.port() && listen.port() != 0 && overlap {
            objections.add("metrics.listen", format!("the relay itself listens on {served}"));
        }
    }

    /// Where to listen; `None`: nothing is counted.
    pub(crate) fn listen(&self) -> Option<SocketAddr> {
        self.listen.as_deref()?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use crate::config::{Config, Environment, FileChoice};

    #[test]
    fn nobody_reads_unless_an_address_is_given() {
        let load = |address: &str| {
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
        let served = load("").unwrap().sections.server.address();
        for taken in [served, SocketAddr::from(([0, 0, 0, 0], served.port()))] {
            let refusal = load(&taken.to_string()).unwrap_err().to_string();
            assert!(refusal.contains("the relay itself listens"), "{taken}: {refusal}");
        }
    }
}
