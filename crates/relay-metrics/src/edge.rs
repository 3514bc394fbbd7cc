//! What went out of the edge: every answer by its route and status, and Relay's own refusals by their code.

use prometheus_client::registry::Registry;
use relay_api::{AnsweredRoute, EdgeObserver};
use relay_domain::ModelName;

use crate::Metrics;
use crate::counter_grid::{CounterGrid, Counts};
use crate::label_counts::LabelCounts;
use crate::requests::{CLASSES, class};

/// More than there are codes.
const MOST_CODES: usize = 64;

/// By [`AnsweredRoute`].
const ROUTES: &[&str] =
    &["messages", "count_tokens", "models", "self_service", "probe", "unknown", "admin"];

/// What went out of the edge.
#[derive(Debug)]
pub(crate) struct EdgeMetrics {
    answers: CounterGrid<2>,
    refusals: LabelCounts,
}

impl EdgeMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let answers = CounterGrid::new([("route", ROUTES), ("status", CLASSES)], Counts::Whole);
        let refusals = LabelCounts::new("code", MOST_CODES);
        let help = "Answers, counted when their head is ready";
        registry.register("http_responses", help, answers.clone());
        let help = "Requests of clients that Relay itself refused";
        registry.register("refusals", help, refusals.clone());
        Self { answers, refusals }
    }
}

impl EdgeObserver for Metrics {
    fn answered(&self, route: AnsweredRoute, status: u16) {
        self.edge.answers.add([route_place(route), class(status)], 1);
    }

    fn refused(&self, code: &'static str) {
        self.edge.refusals.count(code);
    }

    fn refused_unpriced(&self, model: &ModelName) {
        self.requests.count_unpriced(model.as_str());
    }
}

fn route_place(route: AnsweredRoute) -> usize {
    match route {
        AnsweredRoute::Messages => 0,
        AnsweredRoute::CountTokens => 1,
        AnsweredRoute::Models => 2,
        AnsweredRoute::SelfService => 3,
        AnsweredRoute::Probe => 4,
        AnsweredRoute::Unknown => 5,
        AnsweredRoute::Admin => 6,
    }
}
