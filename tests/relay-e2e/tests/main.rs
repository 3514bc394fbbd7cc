//! What Relay promises, each on both stores, against the real binary and a scripted upstream.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod admin;
mod alerts;
mod budget_race;
mod budgets;
mod bytes;
mod chaos;
mod claude_code;
mod cli;
mod concurrency;
mod conversation;
mod crash;
mod disconnect;
mod emptied;
mod failover;
mod fresh_install;
mod golden_costs;
mod inspection;
mod keepalive;
mod locked;
mod metrics;
mod outage;
mod prices;
mod queue;
mod redis_client;
mod refusals;
mod reprice;
mod scrape;
mod secrets;
mod splits;
mod sticky;
mod stored;
mod takeover;
mod transfer;
mod two_instances;
