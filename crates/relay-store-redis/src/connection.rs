//! The two ways to Redis: one shared connection for what requests wait for, a pool for all else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, Value};
use relay_store::StoreError;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::fault;

/// How long Redis may take to answer, connecting included.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_millis(250);
/// How long an administrative call may wait for a connection of the pool to become free.
const FREE_WITHIN: Duration = Duration::from_secs(2);
/// Connections for administrative calls.
const POOL_SIZE: usize = 8;
/// Commands that may wait to be written to a shared connection before callers wait.
const WRITE_QUEUE: usize = 1_024;

/// One connection that many requests share, their commands interleaved. Connects on first use, on the
/// runtime of whoever uses it first, and again after the connection was lost.
pub(crate) struct SharedConnection {
    client: Client,
    current: Mutex<Arc<OnceCell<MultiplexedConnection>>>,
}

impl SharedConnection {
    /// A connection that is made when it is first needed.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, current: Mutex::default() }
    }

    /// Sends `pipeline` and returns an answer for each of its commands, refusals among them. When the
    /// connection turns out to be lost, it is sent once more on a new one: `pipeline` must be such that
    /// doing it twice does no harm.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] after [`ANSWER_WITHIN`], or if Redis is not there.
    pub(crate) async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let first = self.cell();
        let attempts = async {
            match self.send_on(&first, pipeline).await {
                Err(error) if error.is_unrecoverable_error() => {
                    self.give_up(&first);
                    self.send_on(&self.cell(), pipeline).await
                }
                other => other,
            }
        };
        match timeout(ANSWER_WITHIN, attempts).await {
            Ok(result) => result.map_err(fault::of_redis),
            Err(_elapsed) => {
                // The peer may be gone without a word; a connection that still works is cheap to replace.
                self.give_up(&first);
                Err(fault::timed_out(ANSWER_WITHIN))
            }
        }
    }

    async fn send_on(
        &self,
        cell: &Arc<OnceCell<MultiplexedConnection>>,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>, RedisError> {
        let connect = || {
            // The caller bounds connecting and answering together.
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None)
                .set_pipeline_buffer_size(WRITE_QUEUE);
            async move { self.client.get_multiplexed_async_connection_with_config(&config).await }
        };
        let mut connection = cell.get_or_try_init(connect).await?.clone();
        let answers = connection.send_packed_commands(pipeline, 0, pipeline.len()).await?;
        if answers.iter().any(fault::leads_elsewhere) {
            self.give_up(cell);
        }
        Ok(answers)
    }

    fn cell(&self) -> Arc<OnceCell<MultiplexedConnection>> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn give_up(&self, lost: &Arc<OnceCell<MultiplexedConnection>>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, lost) && lost.initialized() {
            *current = Arc::default();
        }
    }
}

/// Connections for administrative calls, one call each at a time.
pub(crate) struct ConnectionPool {
    pool: Pool,
}

impl ConnectionPool {
    /// A pool that connects when it is first needed.
    pub(crate) fn new(client: &Client) -> Result<Self, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let manager = Manager::new_with_config(client.get_connection_info().clone(), config)
            .map_err(fault::of_redis)?;
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(FREE_WITHIN))
            .create_timeout(Some(ANSWER_WITHIN))
            .recycle_timeout(Some(ANSWER_WITHIN))
            .build()
            .map_err(|error| StoreError::Refused(Box::new(error)))?;
        Ok(Self { pool })
    }

    /// Sends `pipeline` and returns an answer for each of its commands.
    ///
    /// # Errors
    ///
    /// As [`SharedConnection::send`]; [`StoreError::Refused`] if one of the commands is.
    pub(crate) async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, StoreError> {
        self.send_leniently(pipeline).await?.into_iter().map(accepted).collect()
    }

    /// Sends `pipeline` and returns an answer for each of its commands, refusals among them.
    ///
    /// # Errors
    ///
    /// As [`SharedConnection::send`].
    pub(crate) async fn send_leniently(
        &self,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>, StoreError> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.pool.get().await.map_err(fault::of_pool)?;
        let sent = connection.send_packed_commands(pipeline, 0, pipeline.len()).await;
        let answers = sent.map_err(fault::of_redis)?;
        if answers.iter().any(fault::leads_elsewhere) {
            drop(Connection::take(connection));
        }
        Ok(answers)
    }
}

/// An answer, unless it is a refusal.
pub(crate) fn accepted(value: Value) -> Result<Value, StoreError> {
    value.extract_error().map_err(fault::of_redis)
}

/// An answer as the type that it should have.
pub(crate) fn read<T: redis::FromRedisValue>(
    value: Value,
    what: &'static str,
) -> Result<T, StoreError> {
    redis::from_redis_value(accepted(value)?).map_err(|_| fault::unexpected(what))
}
