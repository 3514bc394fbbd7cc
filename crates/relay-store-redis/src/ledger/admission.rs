//! Letting a request in: one trip, whatever limits there are.
//!
//! Two more trips are needed once in a period of a budget for which there is no counter (a week, a day that
//! does not begin at midnight), to tell what had been spent when it began; and when a request asks again that
//! was in with other scopes.

use std::time::Duration;

use redis::{Pipeline, Value};
use relay_domain::{AccountId, LimitScope, Limits, Timestamp};
use relay_store::{Admission, AdmitRequest, Binding, Grant, StoreError};
use serde::Deserialize;

use super::hold::{self, Part};
use super::meter::{Meter, Weight};
use super::{ATTEMPTS, SLOTS_GRACE_MS, Sender, Verdict, answers, version_of};
use crate::call::Call;
use crate::connection;
use crate::fault;

/// A binding as v1 and Relay write it.
#[derive(Deserialize)]
struct BindingForm {
    #[serde(rename = "accountId")]
    account: AccountId,
    /// v1 leaves this to the name's lifetime.
    #[serde(default)]
    until: Option<Timestamp>,
}

/// Whether a request without limits is in as a new one.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Entry {
    New,
    /// There is a hold of it already.
    Again,
}

impl Sender {
    /// Lets a request in, or says which limit keeps it out.
    pub(super) async fn admit(&self, request: &AdmitRequest) -> Result<Admission, StoreError> {
        let key = LimitScope::Key(request.key.clone());
        let group = request.group.as_ref();
        let group = group.map(|(id, limits)| (LimitScope::Group(id.clone()), limits));
        let scopes: Vec<(&LimitScope, &Limits)> = [(&key, &request.limits)]
            .into_iter()
            .chain(group.as_ref().map(|(scope, limits)| (scope, *limits)))
            .filter(|(_, limits)| !limits.are_none())
            .collect();
        if scopes.is_empty() {
            let (admission, entry) = self.admit_unlimited(request).await?;
            if entry == Entry::New {
                return Ok(admission);
            }
        }
        self.admit_limited(request, &scopes).await
    }

    /// The index first: an entry of it without a hold is nothing, a hold that is not in it would never be
    /// reaped.
    async fn admit_unlimited(
        &self,
        request: &AdmitRequest,
    ) -> Result<(Admission, Entry), StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut pipeline = self.admission_reads(request);
        let id = request.request.to_string();
        pipeline.cmd("ZADD").arg(keyspace.holds()).arg(request.lease_until.as_millis()).arg(&id);
        pipeline.cmd("HSETNX").arg(keyspace.hold(request.request)).arg("admitted");
        pipeline.arg(hold::write(request)?);
        let mut answers = self.connection.send(&pipeline).await?.into_iter();
        let (mut admission, binding) = Self::read_admission(request, &mut answers)?;
        let mut next = || answers.next().ok_or_else(|| fault::unexpected("an admission"));
        connection::accepted(next()?)?;
        let is_new: bool = connection::read(next()?, "HSETNX")?;
        if let Ok(grant) = &mut admission.decision {
            grant.binding = self.binding(request, binding).await?;
        }
        Ok((admission, if is_new { Entry::New } else { Entry::Again }))
    }

    async fn admit_limited(
        &self,
        request: &AdmitRequest,
        scopes: &[(&LimitScope, &Limits)],
    ) -> Result<Admission, StoreError> {
        let Self { shared, connection } = self;
        let meters: Vec<_> =
            scopes.iter().map(|(scope, limits)| self.meter(scope, limits, request.now)).collect();
        let mut pipeline = self.admission_reads(request);
        pipeline.add_command(self.admission(request, &meters)?.of(&shared.scripts.admit));
        for _ in 0..ATTEMPTS {
            let mut answers = shared.scripts.admit.send(connection, &pipeline).await?.into_iter();
            let (mut admission, binding) = Self::read_admission(request, &mut answers)?;
            let answer = answers.next().ok_or_else(|| fault::unexpected("an admission"))?;
            match Verdict::read(answer, "admit.lua")? {
                Verdict::Done(told) => {
                    let limits = match meters.first() {
                        Some(meter) if matches!(meter.scope, LimitScope::Key(_)) => {
                            meter.states(&mut told.into_iter())?
                        }
                        Some(_) | None => Vec::new(),
                    };
                    let binding = self.binding(request, binding).await?;
                    admission.decision = Ok(Grant { binding, limits });
                    return Ok(admission);
                }
                Verdict::Denied { scope, limit } => {
                    let meter = meter_at(&meters, scope)?;
                    admission.decision = Err(meter.denial(limit)?);
                    return Ok(admission);
                }
                Verdict::Elsewhere(parts) => {
                    let is_other =
                        |part: &Part| scopes.iter().all(|(scope, _)| **scope != part.scope);
                    let others: Vec<_> = parts.into_iter().filter(is_other).collect();
                    self.release(request.request, &others).await?;
                }
                Verdict::Unknown { scope, budget } => {
                    self.begin_period(meter_at(&meters, scope)?, budget).await?;
                }
                Verdict::Gone => return Err(fault::unexpected("an admission")),
            }
        }
        Err(fault::contended(shared.keyspace.hold(request.request)))
    }

    fn admission(
        &self,
        request: &AdmitRequest,
        meters: &[Meter<'_>],
    ) -> Result<Call<'static>, StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut call = Call::default();
        call.name(keyspace.holds());
        call.name(keyspace.hold(request.request));
        call.arg(request.request.to_string());
        call.arg(request.now.as_millis());
        call.arg(request.lease_until.as_millis());
        call.arg(hold::write(request)?);
        call.arg(SLOTS_GRACE_MS);
        call.arg(meters.len());
        for meter in meters {
            let weight = Weight::of(&request.estimate, meter.scope, request.may_be_claude);
            meter.write(weight, &mut call);
        }
        Ok(call)
    }

    /// What is common to every admission: versions, and the binding if a conversation is known.
    fn admission_reads(&self, request: &AdmitRequest) -> Pipeline {
        let keyspace = &self.shared.keyspace;
        let mut pipeline = Pipeline::with_capacity(4);
        pipeline.cmd("MGET").arg(keyspace.key_version()).arg(keyspace.account_version());
        if let Some(affinity) = &request.affinity {
            pipeline.cmd("GET").arg(keyspace.binding(request.platform, affinity));
        }
        pipeline
    }

    fn read_admission(
        request: &AdmitRequest,
        answers: &mut impl Iterator<Item = Value>,
    ) -> Result<(Admission, Value), StoreError> {
        let mut next = || answers.next().ok_or_else(|| fault::unexpected("an admission"));
        let version = version_of(next()?)?;
        let binding = if request.affinity.is_some() { next()? } else { Value::Nil };
        Ok((Admission { version, decision: Ok(Grant::default()) }, binding))
    }

    async fn binding(
        &self,
        request: &AdmitRequest,
        answer: Value,
    ) -> Result<Option<Binding>, StoreError> {
        // v2 keeps a hash under the same name, which GET refuses: no binding of ours.
        let Value::BulkString(json) = answer else { return Ok(None) };
        let Ok(BindingForm { account, until }) = serde_json::from_slice(&json) else {
            return Ok(None);
        };
        let until = match (until, &request.affinity) {
            (Some(until), _) => until,
            (None, Some(affinity)) => {
                let name = self.shared.keyspace.binding(request.platform, affinity);
                let mut pipeline = Pipeline::with_capacity(1);
                pipeline.cmd("PTTL").arg(name);
                let [left] = answers(self.connection.send(&pipeline).await?, "PTTL")?;
                let left: i64 = connection::read(left, "PTTL")?;
                request.now.plus(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
            }
            (None, None) => return Ok(None),
        };
        Ok((request.now < until).then_some(Binding { account, until }))
    }
}

fn meter_at<'a, 'b>(meters: &'a [Meter<'b>], position: i64) -> Result<&'a Meter<'b>, StoreError> {
    let at = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
    at.and_then(|at| meters.get(at)).ok_or_else(|| fault::unexpected("a scope's position"))
}
