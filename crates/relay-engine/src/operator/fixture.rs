//! An operator on an empty store, at a moment that only the test moves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use relay_crypto::{ApiKeyMinter, KeyHasher, Keyring, SealFormat};
use relay_domain::{Actor, Calendar, Timestamp};
use relay_store::Stores;
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};

use super::{Operator, OperatorError, OperatorParts};
use crate::Clock;

/// When the tests begin.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

#[derive(Debug)]
pub(super) struct StoppedClock(AtomicU64);

impl StoppedClock {
    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// An operator and what it works with.
pub(super) struct Desk {
    pub(super) operator: Operator,
    pub(super) stores: Stores,
    pub(super) clock: Arc<StoppedClock>,
}

impl Desk {
    /// On an empty store.
    pub(super) fn new() -> Self {
        let options = SqliteOptions {
            calendar: Calendar::UTC,
            record_capacity: 10,
            record_lifetime: Duration::from_hours(24),
            access: Access::Serve,
        };
        Self::on(SqliteStore::in_memory(options).unwrap().stores())
    }

    /// On `stores`.
    pub(super) fn on(stores: Stores) -> Self {
        let clock = Arc::new(StoppedClock(AtomicU64::new(NOW.as_millis())));
        let operator = Operator::new(OperatorParts {
            stores: stores.clone(),
            keyring: keyring(),
            minter: ApiKeyMinter::default(),
            hasher: hasher(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        });
        Self { operator, stores, clock }
    }
}

/// Who does it.
pub(super) fn root() -> Actor {
    Actor::admin("root")
}

/// As the operator's, to open what it has sealed. Seals as the predecessors did, to see the salts.
pub(super) fn keyring() -> Keyring {
    Keyring::new(&"an encryption key of the tests' own".into(), SealFormat::Legacy)
}

pub(super) fn hasher() -> KeyHasher {
    KeyHasher::new(&"an encryption key of the tests' own".into())
}

/// Which field was refused.
#[track_caller]
pub(super) fn refused_field<T>(result: Result<T, OperatorError>) -> &'static str {
    match result {
        Err(OperatorError::Invalid { field, .. }) => field,
        Err(other) => panic!("{other}"),
        Ok(_) => "",
    }
}

#[tokio::test]
async fn heavy_work_counts_until_it_ends_even_if_its_caller_has_left() {
    let desk = Desk::new();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let started = Arc::new(OnceLock::new());
    let work = {
        let started = Arc::clone(&started);
        desk.operator.heavy(move || {
            started.set(()).unwrap();
            ended.recv().ok();
            Ok(())
        })
    };
    let seen = async {
        while started.get().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { biased; _ = work => panic!("it waits"), () = seen => {} }
    assert_eq!(desk.operator.heavy.available_permits(), super::HEAVY_AT_ONCE - 1);
    drop(end);
    while desk.operator.heavy.available_permits() < super::HEAVY_AT_ONCE {
        tokio::task::yield_now().await;
    }
}
