//! Reads that may take a while: on connections and threads of their own, so that neither the writer nor
//! an admission waits for them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use relay_store::StoreError;
use rusqlite::{Connection, Transaction};
use tokio::sync::Semaphore;

use crate::error::SqliteError;
use crate::schema::{Place, open_reader};

/// How many go on at once. More would only take turns, and memory.
const AT_ONCE: usize = 2;

/// Reads that may take a while.
pub(crate) struct LongReads {
    connections: Arc<Connections>,
    permits: Arc<Semaphore>,
}

struct Connections {
    place: OwnPlace,
    idle: Mutex<Vec<Connection>>,
}

enum OwnPlace {
    File(PathBuf),
    Memory(String),
}

impl LongReads {
    /// Reads in the database at `place`. Connects when it is first needed.
    pub(crate) fn new(place: Place<'_>) -> Self {
        let place = match place {
            Place::File(path) => OwnPlace::File(path.to_owned()),
            Place::Memory(name) => OwnPlace::Memory(name.to_owned()),
        };
        let connections = Arc::new(Connections { place, idle: Mutex::default() });
        Self { connections, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Runs `read`, for which the database stands still, off the threads that serve requests.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Nobody closes the semaphore. The permit goes along, so that a read whose caller has left counts.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let connections = Arc::clone(&self.connections);
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut connection = connections.take()?;
            let outcome = {
                let transaction = connection.transaction().map_err(SqliteError::from)?;
                read(&transaction)
            };
            connections.give_back(connection);
            outcome
        });
        reading
            .await
            .unwrap_or_else(|interrupted| Err(StoreError::Unavailable(Box::new(interrupted))))
    }
}

impl Connections {
    fn take(&self) -> Result<Connection, SqliteError> {
        if let Some(connection) = self.lock().pop() {
            return Ok(connection);
        }
        match &self.place {
            OwnPlace::File(path) => open_reader(Place::File(path)),
            OwnPlace::Memory(name) => open_reader(Place::Memory(name)),
        }
    }

    fn give_back(&self, connection: Connection) {
        self.lock().push(connection);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
