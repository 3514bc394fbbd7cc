//! How limits stand, and starting them anew.

use relay_domain::{LimitScope, LimitState, Limits, RequestId, Timestamp};
use relay_store::StoreError;

use super::hold::Part;
use super::meter::{Meter, Weight};
use super::{ATTEMPTS, Sender, Verdict, answers};
use crate::call::Call;
use crate::connection;
use crate::fault;

impl Sender {
    /// How far each of `limits` of `scope` is used at `now`.
    pub(super) async fn standing(
        &self,
        scope: &LimitScope,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Vec<LimitState>, StoreError> {
        let meter = self.meter(scope, limits, now);
        let mut call = Call::default();
        call.arg(now.as_millis());
        meter.write(Weight::default(), &mut call);
        let script = &self.shared.scripts.standing;
        let pipeline = call.alone(script);
        for _ in 0..ATTEMPTS {
            let sent = script.send(&self.connection, &pipeline).await?;
            let [answer] = answers(sent, "standing.lua")?;
            match Verdict::read(answer, "standing.lua")? {
                Verdict::Done(told) => return meter.states(&mut told.into_iter()),
                Verdict::Unknown { budget, .. } => self.begin_period(&meter, budget).await?,
                Verdict::Denied { .. } | Verdict::Elsewhere(_) | Verdict::Gone => {
                    return Err(fault::unexpected("standing.lua"));
                }
            }
        }
        Err(fault::contended(self.shared.keyspace.meter(scope)))
    }

    /// Starts every limit of `scope` anew.
    pub(super) async fn restart(
        &self,
        scope: &LimitScope,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let call = self.meter(scope, &Limits::default(), now).restart();
        let script = &self.shared.scripts.restart;
        let sent = script.send(&self.connection, &call.alone(script)).await?;
        let [answer] = answers(sent, "restart.lua")?;
        connection::accepted(answer).map(|_| ())
    }

    /// Keeps what had been spent when the period of the budget at this position began.
    pub(super) async fn begin_period(
        &self,
        meter: &Meter<'_>,
        position: i64,
    ) -> Result<(), StoreError> {
        let script = &self.shared.scripts.begin_period;
        let pipeline = meter.begin_period(position)?.alone(script);
        let [answer] =
            answers(script.send(&self.connection, &pipeline).await?, "begin_period.lua")?;
        connection::accepted(answer).map(|_| ())
    }

    /// Gives parts of a hold back to their scopes.
    pub(super) async fn release(
        &self,
        request: RequestId,
        parts: &[Part],
    ) -> Result<(), StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut call = Call::default();
        call.name(keyspace.hold(request));
        call.arg(request.to_string());
        call.arg(parts.len());
        for part in parts {
            call.name(keyspace.leases(&part.scope));
            call.name(keyspace.meter(&part.scope));
            call.arg(part.field());
            call.arg(part.text.as_str());
        }
        let script = &self.shared.scripts.release;
        let [answer] =
            answers(script.send(&self.connection, &call.alone(script)).await?, "release.lua")?;
        connection::accepted(answer).map(|_| ())
    }
}
