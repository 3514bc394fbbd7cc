//! Who is told what goes out of the edge, for metrics.

use std::sync::Arc;

use http::Response;
use relay_domain::{ModelName, RequestId};
use relay_engine::{EngineError, Relay, RelayBody};

use crate::dialect::Refusal;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnsweredRoute {
    /// `POST .../v1/messages`.
    Messages,
    /// `POST .../v1/messages/count_tokens`.
    CountTokens,
    /// `GET .../v1/models`.
    Models,
    /// What the owner of a key may ask about it.
    SelfService,
    /// Somebody looked whether Relay is there.
    Probe,
    /// A path of clients that there is not.
    Unknown,
    /// The admin router: admin REST, health, documentation.
    Admin,
}

/// Is told of every answer. Called from the paths of requests: it must never wait.
pub trait EdgeObserver: Send + Sync {
    /// The head of an answer is ready.
    fn answered(&self, route: AnsweredRoute, status: u16);

    /// Relay itself refused a client's request to the provider, with this code.
    fn refused(&self, code: &'static str);

    /// A request was refused because its model has no price.
    fn refused_unpriced(&self, model: &ModelName);
}

/// Tells an observer, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Observed(Option<Arc<dyn EdgeObserver>>);

impl Observed {
    pub(crate) fn by(observer: Arc<dyn EdgeObserver>) -> Self {
        Self(Some(observer))
    }

    pub(crate) fn answered<B>(&self, route: AnsweredRoute, response: &Response<B>) {
        if let Some(observer) = &self.0 {
            observer.answered(route, response.status().as_u16());
        }
    }

    /// What a client reads of `error`.
    pub(crate) fn refusal(&self, error: &EngineError, relay: &Relay) -> Refusal {
        if let (Some(observer), EngineError::ModelUnpriced(model)) = (&self.0, error) {
            observer.refused_unpriced(model);
        }
        Refusal::of(error, relay.now())
    }

    /// A refusal as the answer to the request with this id.
    pub(crate) fn answer(&self, refusal: Refusal, id: RequestId) -> Response<RelayBody> {
        self.refused(&refusal);
        refusal.into_response(id)
    }

    /// A request gets `refusal` for an answer.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        if let Some(observer) = &self.0 {
            observer.refused(refusal.code());
        }
    }
}
