//! How the store answers: how long its trips take, and how they fail.

use std::time::Instant;

use prometheus_client::registry::Registry;
use relay_store::StoreError;

use crate::counter_grid::{CounterGrid, Counts};
use crate::durations::Durations;

/// What the ledger was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trip {
    Admit,
    Assign,
    Extend,
    Checkpoint,
    Settle,
    Reap,
    Wait,
    Standing,
    Restart,
    Version,
}

/// By [`Trip`].
const TRIPS: &[&str] = &[
    "admit",
    "assign",
    "extend",
    "checkpoint",
    "settle",
    "reap",
    "wait",
    "standing",
    "restart",
    "version",
];

/// How a trip came to nothing.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Unavailable,
    Refused,
    Corrupt,
    Duplicate,
    /// Whoever asked did not wait for the answer any longer.
    GivenUp,
}

/// By [`Failure`].
const FAILURES: &[&str] = &["unavailable", "refused", "corrupt", "duplicate", "given_up"];

/// In microseconds.
const TAKEN: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];

/// How the store answers.
#[derive(Clone, Debug)]
pub(crate) struct StoreTrips {
    taken: Durations,
    failed: CounterGrid<2>,
}

impl StoreTrips {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let operation = ("operation", TRIPS);
        let taken = Durations::new(operation, TAKEN);
        let failed = CounterGrid::new([operation, ("reason", FAILURES)], Counts::Whole);
        let help = "Trips of the ledger to the store that were answered";
        registry.register("store_trip_seconds", help, taken.clone());
        let help = "Trips of the ledger to the store that came to nothing";
        registry.register("store_trip_failures", help, failed.clone());
        Self { taken, failed }
    }

    /// Waits for an answer of the store and counts what became of it, also if the wait is given up.
    pub(crate) async fn watch<T>(
        &self,
        trip: Trip,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut under_way = UnderWay { trips: self, trip, failure: Some(Failure::GivenUp) };
        let began = Instant::now();
        let answer = answer.await;
        under_way.failure = answer.as_ref().err().map(failure);
        if answer.is_ok() {
            self.taken.observe(trip as usize, began.elapsed());
        }
        answer
    }
}

/// A trip under way. Counted as a failure at its end, unless there is none by then.
struct UnderWay<'a> {
    trips: &'a StoreTrips,
    trip: Trip,
    failure: Option<Failure>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(failure) = self.failure {
            self.trips.failed.add([self.trip as usize, failure as usize], 1);
        }
    }
}

fn failure(error: &StoreError) -> Failure {
    match error {
        StoreError::Unavailable(_) => Failure::Unavailable,
        StoreError::Refused(_) | StoreError::Missing { .. } => Failure::Refused,
        StoreError::Corrupt { .. } => Failure::Corrupt,
        StoreError::Duplicate { .. } => Failure::Duplicate,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use super::*;
    use crate::text::tests::text_of_registry;

    #[tokio::test(start_paused = true)]
    async fn answers_failures_and_what_is_given_up_are_told_apart() {
        let mut registry = Registry::default();
        let trips = StoreTrips::register(&mut registry);
        trips.watch(Trip::Admit, ready(Ok(()))).await.unwrap();
        let away = StoreError::Unavailable("away".into());
        trips.watch(Trip::Settle, ready(Err::<(), _>(away))).await.unwrap_err();
        let silent = trips.watch(Trip::Version, pending::<Result<(), StoreError>>());
        tokio::time::timeout(Duration::from_secs(1), silent).await.unwrap_err();
        let text = text_of_registry(&registry);
        for line in [
            r#"store_trip_seconds_count{operation="admit"} 1"#,
            r#"store_trip_seconds_count{operation="settle"} 0"#,
            r#"store_trip_failures_total{operation="settle",reason="unavailable"} 1"#,
            r#"store_trip_failures_total{operation="version",reason="given_up"} 1"#,
            r#"store_trip_failures_total{operation="admit",reason="given_up"} 0"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn every_trip_and_failure_stands_at_its_place() {
        let trips = [
            Trip::Admit,
            Trip::Assign,
            Trip::Extend,
            Trip::Checkpoint,
            Trip::Settle,
            Trip::Reap,
            Trip::Wait,
            Trip::Standing,
            Trip::Restart,
            Trip::Version,
        ];
        let names: Vec<String> =
            trips.iter().map(|trip| format!("{trip:?}").to_lowercase()).collect();
        assert_eq!(names, TRIPS);
        assert_eq!(FAILURES[Failure::GivenUp as usize], "given_up");
        assert_eq!(FAILURES[failure(&StoreError::Unavailable("".into())) as usize], "unavailable");
        assert_eq!(FAILURES[failure(&StoreError::Refused("".into())) as usize], "refused");
    }
}
