//! Who waits, on all instances.

use redis::Pipeline;
use relay_domain::RequestId;
use relay_store::{Line, StoreError, Waiting};

use super::{Sender, answers};
use crate::call::Call;
use crate::connection;

impl Sender {
    /// Takes a place in a line.
    pub(super) async fn begin_waiting(&self, waiting: &Waiting) -> Result<bool, StoreError> {
        let mut call = Call::default();
        call.name(self.shared.keyspace.waiting(&waiting.line));
        call.arg(waiting.request.to_string());
        call.arg(u64::from(waiting.most));
        call.arg(waiting.now.as_millis());
        call.arg(waiting.until.as_millis());
        let script = &self.shared.scripts.wait;
        let sent = script.send(&self.connection, &call.alone(script)).await?;
        let [answer] = answers(sent, "wait.lua")?;
        connection::read(answer, "wait.lua")
    }

    /// Leaves a place in a line.
    pub(super) async fn end_waiting(
        &self,
        line: &Line,
        request: RequestId,
    ) -> Result<(), StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.zrem(self.shared.keyspace.waiting(line), request.to_string());
        for answer in self.connection.send(&pipeline).await? {
            connection::accepted(answer)?;
        }
        Ok(())
    }
}
