//! Timing the steps of a connection, each a service around the one before it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower::Service;

use super::ProbeStep;

/// The steps that have ended, in that order: an inner one before the one around it.
#[derive(Clone, Default)]
pub(super) struct Steps(Arc<Mutex<Vec<Ended>>>);

/// A step that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) step: ProbeStep,
    /// Together with the steps inside it.
    pub(super) took: Duration,
    pub(super) well: bool,
}

impl Steps {
    /// A step has ended.
    pub(super) fn push(&self, ended: Ended) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(ended);
    }

    /// What has ended so far.
    pub(super) fn so_far(&self) -> Vec<Ended> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A service whose calls are timed as one step.
#[derive(Clone)]
pub(super) struct Timed<S> {
    inner: S,
    step: ProbeStep,
    steps: Steps,
}

impl<S> Timed<S> {
    pub(super) fn new(step: ProbeStep, steps: &Steps, inner: S) -> Self {
        Self { inner, step, steps: steps.clone() }
    }
}

impl<S, T> Service<T> for Timed<S>
where
    S: Service<T>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let (steps, step) = (self.steps.clone(), self.step);
        let began = Instant::now();
        let calling = self.inner.call(target);
        Box::pin(async move {
            let answer = calling.await;
            steps.push(Ended { step, took: began.elapsed(), well: answer.is_ok() });
            answer
        })
    }
}
