//! How limits stand, and starting them anew.

use redis::Pipeline;
use relay_domain::{LimitScope, LimitState, Limits, RequestId, Timestamp};
use relay_store::StoreError;

use super::hold::Part;
use super::meter::{Meter, Weight};
use super::{ATTEMPTS, Sender, Verdict, answers};
use crate::call::Call;
use crate::connection;
use crate::fault;

impl Sender {
    /// How far each of the limits of each scope is used at `now`. One trip, unless it is not known yet what
    /// had been spent when somebody's period began.
    pub(super) async fn standings(
        &self,
        scopes: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<Vec<LimitState>>, StoreError> {
        let script = &self.shared.scripts.standing;
        let mut standings = vec![Vec::new(); scopes.len()];
        if scopes.is_empty() {
            return Ok(standings);
        }
        let mut asked: Vec<_> = scopes.iter().enumerate().collect();
        for _ in 0..ATTEMPTS {
            let mut pipeline = Pipeline::with_capacity(asked.len());
            for (_, (scope, limits)) in &asked {
                let mut call = Call::default();
                call.arg(now.as_millis());
                self.meter(scope, limits, now).write(Weight::default(), &mut call);
                pipeline.add_command(call.of(script));
            }
            let answers = script.send(&self.connection, &pipeline).await?;
            let mut again = Vec::new();
            for ((at, (scope, limits)), answer) in asked.into_iter().zip(answers) {
                let meter = self.meter(scope, limits, now);
                match Verdict::read(answer, "standing.lua")? {
                    Verdict::Done(told) => standings[at] = meter.states(&mut told.into_iter())?,
                    Verdict::Unknown { budget, .. } => {
                        self.begin_period(&meter, budget).await?;
                        again.push((at, &scopes[at]));
                    }
                    Verdict::Denied { .. } | Verdict::Elsewhere(_) | Verdict::Gone => {
                        return Err(fault::unexpected("standing.lua"));
                    }
                }
            }
            if again.is_empty() {
                return Ok(standings);
            }
            asked = again;
        }
        let scope = asked.first().map(|(_, (scope, _))| self.shared.keyspace.meter(scope));
        Err(fault::contended(scope.unwrap_or_default()))
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
