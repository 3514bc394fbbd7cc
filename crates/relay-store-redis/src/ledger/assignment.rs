//! Holding on to what was let in: on an account, for longer, for more.

use redis::Pipeline;
use relay_domain::{LimitScope, Limits};
use relay_store::{Assignment, Checkpoint, Extension, HoldAnswer, StoreError, budgets};

use super::hold::{self, Part};
use super::meter::{Meter, Weight};
use super::{ATTEMPTS, SLOTS_GRACE_MS, Sender, Verdict, answers};
use crate::call::Call;
use crate::connection;
use crate::fault;

impl Sender {
    /// Gives a held request to an account, taking it from the one that it was given to before.
    pub(super) async fn assign(&self, assignment: &Assignment) -> Result<HoldAnswer, StoreError> {
        let Assignment { request, account, limits, cost, now } = assignment;
        let Self { shared, connection } = self;
        let keyspace = &shared.keyspace;
        let scope = LimitScope::Account(account.clone());
        let meter = self.meter(&scope, limits, *now);
        let mut before: Option<LimitScope> = None;
        for _ in 0..ATTEMPTS {
            let mut call = Call::default();
            call.name(keyspace.holds());
            call.name(keyspace.hold(*request));
            call.arg(request.to_string());
            call.arg(now.as_millis());
            call.arg(SLOTS_GRACE_MS);
            // The hold knows what else the request weighs.
            meter.write(Weight::of_cost(*cost), &mut call);
            call.optional(before.as_ref().map(hold::scope_id));
            if let Some(before) = &before {
                call.name(keyspace.leases(before));
                call.name(keyspace.meter(before));
            }
            let script = &shared.scripts.assign;
            let [answer] =
                answers(script.send(connection, &call.alone(script)).await?, "assign.lua")?;
            match Verdict::read(answer, "assign.lua")? {
                Verdict::Done(_) => return Ok(HoldAnswer::Held),
                Verdict::Denied { limit, .. } => {
                    return Ok(HoldAnswer::Denied(meter.denial(limit)?));
                }
                Verdict::Gone => return Ok(HoldAnswer::Gone),
                Verdict::Elsewhere(parts) => {
                    before = parts.into_iter().map(|part| part.scope).next();
                }
                Verdict::Unknown { budget, .. } => self.begin_period(&meter, budget).await?,
            }
        }
        Err(fault::contended(keyspace.hold(*request)))
    }

    /// Raises what a held request reserves, in all of its scopes or in none.
    pub(super) async fn extend(&self, extension: &Extension) -> Result<HoldAnswer, StoreError> {
        let Extension { request, key, group, account, model, estimate, now } = extension;
        let Self { shared, connection } = self;
        let key = (LimitScope::Key(key.0.clone()), key.1);
        let group = group.as_ref().map(|(id, limits)| (LimitScope::Group(id.clone()), *limits));
        let account =
            account.as_ref().map(|(id, limits)| (LimitScope::Account(id.clone()), *limits));
        let scopes: Vec<(LimitScope, Limits)> = [Some(key), group, account]
            .into_iter()
            .flatten()
            .filter(|(_, limits)| !limits.are_none())
            .collect();
        let meters: Vec<Meter<'_>> =
            scopes.iter().map(|(scope, limits)| self.meter(scope, limits, *now)).collect();
        let mut call = Call::default();
        call.name(shared.keyspace.holds());
        call.name(shared.keyspace.hold(*request));
        call.arg(request.to_string());
        call.arg(now.as_millis());
        call.arg(estimate.tokens);
        call.arg(budgets::amount_of(estimate.cost));
        call.arg(meters.len());
        for meter in &meters {
            meter.write(Weight::of(estimate, meter.scope, model.is_claude()), &mut call);
        }
        let script = &shared.scripts.extend;
        let pipeline = call.alone(script);
        let meter_at = |position: i64| {
            let at = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
            let meter = at.and_then(|at| meters.get(at));
            meter.ok_or_else(|| fault::unexpected("extend.lua"))
        };
        for _ in 0..ATTEMPTS {
            let [answer] = answers(script.send(connection, &pipeline).await?, "extend.lua")?;
            match Verdict::read(answer, "extend.lua")? {
                Verdict::Done(_) => return Ok(HoldAnswer::Held),
                Verdict::Denied { scope, limit } => {
                    return Ok(HoldAnswer::Denied(meter_at(scope)?.denial(limit)?));
                }
                Verdict::Gone => return Ok(HoldAnswer::Gone),
                Verdict::Elsewhere(_) => return Err(fault::unexpected("extend.lua")),
                Verdict::Unknown { scope, budget } => {
                    self.begin_period(meter_at(scope)?, budget).await?;
                }
            }
        }
        Err(fault::contended(shared.keyspace.hold(*request)))
    }

    /// Extends a lease, and the slots that the request has.
    pub(super) async fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let Self { shared, connection } = self;
        let keyspace = &shared.keyspace;
        let mut call = Call::default();
        call.name(keyspace.hold(checkpoint.request));
        call.name(keyspace.holds());
        call.arg(checkpoint.request.to_string());
        call.arg(checkpoint.lease_until.as_millis());
        call.arg(hold::write_progress(checkpoint.progress.as_ref())?);
        let script = &shared.scripts.checkpoint;
        let [answer] =
            answers(script.send(connection, &call.alone(script)).await?, "a checkpoint")?;
        let parts: Option<Vec<Option<String>>> = connection::read(answer, "a checkpoint")?;
        let Some(parts) = parts else { return Ok(false) };
        let script = &shared.scripts.extend_slot;
        let mut pipeline = Pipeline::with_capacity(3);
        let parts = parts.into_iter().flatten().filter_map(Part::parse);
        for part in parts.filter(|part| part.has_slot) {
            let mut call = Call::default();
            call.name(keyspace.leases(&part.scope));
            call.name(keyspace.hold(checkpoint.request));
            call.arg(checkpoint.request.to_string());
            call.arg(checkpoint.lease_until.as_millis());
            call.arg(SLOTS_GRACE_MS);
            pipeline.add_command(call.of(script));
        }
        if !pipeline.is_empty() {
            for answer in script.send(connection, &pipeline).await? {
                connection::accepted(answer)?;
            }
        }
        Ok(true)
    }
}
