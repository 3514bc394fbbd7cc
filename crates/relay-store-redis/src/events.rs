//! Events: a sorted set of Relay's own whose members all have one score, so that they sort by their text,
//! which is the event's id, a blank and the event as JSON.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::{Event, EventId, PeriodKind, RecordedEvent};
use relay_store::{
    EVENT_CAPACITY, EventPage, EventQuery, EventRepository, MODELS_A_DAY, StoreError, oldest_kept,
};

use crate::call::Call;
use crate::connection;
use crate::fault;
use crate::shared::Shared;

/// How many events are looked at in one trip.
const READ_AT_ONCE: usize = 200;
/// How many are looked at for one page before it is given back as it is.
const LOOKED_AT: usize = 5_000;

/// How long it is known who told of what on a day: longer than the day, also where clocks differ.
const DAY_KEPT: Duration = Duration::from_hours(48);

/// Events.
pub(crate) struct RedisEvents {
    pub(crate) shared: Arc<Shared>,
}

#[async_trait]
impl EventRepository for RedisEvents {
    async fn append(&self, events: &[RecordedEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let Shared { pool, keyspace, .. } = &*self.shared;
        let name = keyspace.events();
        let mut pipeline = Pipeline::with_capacity(3);
        pipeline.cmd("ZADD").arg(&name);
        for event in events {
            pipeline.arg(0).arg(member(event)?);
        }
        let oldest = oldest_kept(events);
        pipeline.cmd("ZREMRANGEBYLEX").arg(&name).arg("-").arg(format!("({oldest}"));
        let over = i64::try_from(EVENT_CAPACITY).unwrap_or(i64::MAX).saturating_neg() - 1;
        pipeline.cmd("ZREMRANGEBYRANK").arg(&name).arg(0).arg(over);
        pool.send(&pipeline).await?;
        Ok(())
    }

    async fn append_of_the_day(&self, event: &RecordedEvent) -> Result<bool, StoreError> {
        let RecordedEvent { id, event: Event { at, kind } } = event;
        let Some(model) = kind.model_of_the_day() else {
            self.append(std::slice::from_ref(event)).await?;
            return Ok(true);
        };
        let Shared { pool, keyspace, scripts, calendar, .. } = &*self.shared;
        let mut call = Call::default();
        call.name(keyspace.events());
        call.name(keyspace.events_of_day(kind.name(), calendar.period(PeriodKind::Day, *at)));
        call.arg(model.as_str());
        call.arg(id.to_string());
        call.arg(member(event)?);
        call.arg(MODELS_A_DAY);
        call.arg(DAY_KEPT.as_secs());
        let pipeline = call.alone(&scripts.append_of_the_day);
        let answers = scripts.append_of_the_day.send_on_pool(pool, &pipeline).await?;
        let answer = answers.into_iter().next().unwrap_or_default();
        connection::read(answer, "append_of_the_day")
    }

    async fn page(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        let mut events = Vec::new();
        let (mut below, mut looked_at) = (query.below(), 0);
        loop {
            let found = self.between(query.least(), below).await?;
            let is_last = found.len() < READ_AT_ONCE;
            looked_at += found.len();
            for event in found {
                below = Some(event.id);
                if query.matches(&event) {
                    events.push(event);
                    if query.limit < events.len() {
                        events.truncate(query.limit);
                        let next = events.last().map(|event| event.id);
                        return Ok(EventPage { events, next });
                    }
                }
            }
            if is_last {
                return Ok(EventPage { events, next: None });
            }
            if LOOKED_AT <= looked_at {
                return Ok(EventPage { events, next: below });
            }
        }
    }
}

impl RedisEvents {
    async fn between(
        &self,
        least: Option<EventId>,
        below: Option<EventId>,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let Shared { pool, keyspace, .. } = &*self.shared;
        // A member is greater than the id that it begins with.
        let below = below.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        let least = least.map_or_else(|| "-".to_owned(), |id| format!("[{id}"));
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZREVRANGEBYLEX").arg(keyspace.events()).arg(below).arg(least);
        pipeline.arg("LIMIT").arg(0).arg(READ_AT_ONCE);
        let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
        let found: Vec<String> = connection::read(answer, "ZREVRANGEBYLEX")?;
        let parsed: Option<Vec<_>> = found.iter().map(|member| parse(member)).collect();
        parsed.ok_or_else(|| fault::unexpected("events"))
    }
}

fn member(RecordedEvent { id, event }: &RecordedEvent) -> Result<String, StoreError> {
    let json =
        serde_json::to_string(event).map_err(|error| StoreError::Refused(Box::new(error)))?;
    Ok(format!("{id} {json}"))
}

fn parse(member: &str) -> Option<RecordedEvent> {
    let (id, json) = member.split_once(' ')?;
    Some(RecordedEvent { id: id.try_into().ok()?, event: serde_json::from_str(json).ok()? })
}
