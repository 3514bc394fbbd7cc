//! Events.

use std::time::Duration;

use async_trait::async_trait;
use relay_domain::{Calendar, Event, EventId, PeriodKind, RecordedEvent, Timestamp};
use relay_store::{
    EVENT_CAPACITY, EventPage, EventQuery, EventRepository, MODELS_A_DAY, StoreError, oldest_kept,
};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::error::{SqliteError, corrupt};
use crate::store::SqliteStore;

#[async_trait]
impl EventRepository for SqliteStore {
    async fn append(&self, events: &[RecordedEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let events = events.to_vec();
        self.core().queue.run(move |connection| Ok(append(connection, &events)?)).await
    }

    async fn append_of_the_day(&self, event: &RecordedEvent) -> Result<bool, StoreError> {
        let (event, calendar) = (event.clone(), self.core().options.calendar);
        let append =
            move |connection: &mut Connection| Ok(append_of_the_day(connection, &event, calendar)?);
        self.core().queue.run(append).await
    }

    async fn page(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        let query = query.clone();
        self.core().long_reads.run(move |file| page(file, &query)).await
    }
}

fn append(connection: &mut Connection, events: &[RecordedEvent]) -> Result<(), SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write(&transaction, events)?;
    transaction.commit()?;
    Ok(())
}

fn append_of_the_day(
    connection: &mut Connection,
    event: &RecordedEvent,
    calendar: Calendar,
) -> Result<bool, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let kind = &event.event.kind;
    if let Some(model) = kind.model_of_the_day() {
        let of_day = events_of_day(&transaction, &event.event, calendar)?;
        let same = of_day.iter().find(|(_, other)| other.kind.model_of_the_day() == Some(model));
        match same {
            Some((id, _)) => return Ok(*id == event.id.to_string()),
            None if MODELS_A_DAY <= of_day.len() => return Ok(false),
            None => {}
        }
    }
    write(&transaction, std::slice::from_ref(event))?;
    transaction.commit()?;
    Ok(true)
}

/// The events of the same kind on the same day as `event`, with their ids.
fn events_of_day(
    connection: &Connection,
    event: &Event,
    calendar: Calendar,
) -> Result<Vec<(String, Event)>, SqliteError> {
    // Wherever the day begins, it is within this.
    let (at, day) = (event.at.as_millis(), Duration::from_hours(24));
    let from = EventId::first_at(Timestamp::from_millis(at.saturating_sub(millis(day))));
    let to = EventId::first_at(event.at.plus(day));
    let mut read = connection
        .prepare_cached("SELECT id, event FROM event WHERE id >= ?1 AND id < ?2 AND kind = ?3")?;
    let rows = read
        .query_map(params![from.to_string(), to.to_string(), event.kind.name()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
    let mut found = Vec::new();
    for row in rows {
        let (id, other) = row?;
        let other: Event = serde_json::from_str(&other)?;
        let day = |at| calendar.period(PeriodKind::Day, at);
        if day(other.at) == day(event.at) {
            found.push((id, other));
        }
    }
    Ok(found)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn write(transaction: &Connection, events: &[RecordedEvent]) -> Result<(), SqliteError> {
    {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO event (id, kind, key_id, group_id, account_id, event)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for RecordedEvent { id, event } in events {
            insert.execute(params![
                id.to_string(),
                event.kind.name(),
                event.kind.key().map(relay_domain::KeyId::as_str),
                event.kind.group().map(relay_domain::GroupId::as_str),
                event.kind.account().map(relay_domain::AccountId::as_str),
                serde_json::to_string(event)?,
            ])?;
        }
    }
    transaction.execute(
        "DELETE FROM event WHERE id < ?1
             OR id <= (SELECT id FROM event ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        params![oldest_kept(events).to_string(), i64::try_from(EVENT_CAPACITY).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

fn page(connection: &Connection, query: &EventQuery) -> Result<EventPage, StoreError> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut read = connection
        .prepare_cached(
            "SELECT id, event FROM event
             WHERE id < ifnull(?1, 'f') AND id >= ifnull(?2, '')
                 AND (?3 IS NULL OR kind = ?3)
                 AND (?4 IS NULL OR key_id = ?4)
                 AND (?5 IS NULL OR group_id = ?5)
                 AND (?6 IS NULL OR account_id = ?6)
             ORDER BY id DESC LIMIT ?7",
        )
        .map_err(SqliteError::from)?;
    let asked = params![
        query.below().map(|id| id.to_string()),
        query.least().map(|id| id.to_string()),
        query.kind,
        query.key.as_ref().map(relay_domain::KeyId::as_str),
        query.group.as_ref().map(relay_domain::GroupId::as_str),
        query.account.as_ref().map(relay_domain::AccountId::as_str),
        limit.saturating_add(1),
    ];
    let rows = read
        .query_map(asked, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .map_err(SqliteError::from)?;
    let mut events = Vec::new();
    for row in rows {
        let (id, event) = row.map_err(SqliteError::from)?;
        let read =
            EventId::try_from(id.as_str()).map_err(|why| corrupt(format!("event {id}"), why))?;
        let event =
            serde_json::from_str(&event).map_err(|why| corrupt(format!("event {id}"), why))?;
        events.push(RecordedEvent { id: read, event });
    }
    let has_more = query.limit < events.len();
    events.truncate(query.limit);
    let next = events.last().filter(|_| has_more).map(|event| event.id);
    Ok(EventPage { events, next })
}
