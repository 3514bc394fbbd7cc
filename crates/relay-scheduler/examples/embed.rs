//! A pool of two accounts in another program: a request fails over, and every verdict is printed.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use relay_domain::{
    AccountBinding, AccountHealth, AccountId, AccountKind, HealthEvent, InvalidId, ModelMap,
    NanoUsd, Platform, Priority, Rest, Timestamp,
};
use relay_scheduler::{Ask, Candidate, Policy, Ranking, Readiness, rank};

/// What this program knows about an account. The scheduler borrows from it.
struct Account {
    id: AccountId,
    health: AccountHealth,
    models: ModelMap,
}

impl Account {
    fn new(id: &str) -> Result<Self, InvalidId> {
        let id = AccountId::try_from(id)?;
        Ok(Self { id, health: AccountHealth::default(), models: ModelMap::default() })
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            id: &self.id,
            platform: Platform::ClaudeConsole,
            priority: Priority::DEFAULT,
            is_active: true,
            schedulable: true,
            kind: AccountKind::Shared,
            groups: &[],
            health: &self.health,
            models: &self.models,
            daily_quota: None,
            daily_spent: NanoUsd::ZERO,
            in_flight: 0,
            max_concurrent: Some(5),
            subscription_ends: None,
            readiness: Readiness::Ready,
            trial_in_flight: false,
        }
    }
}

fn decide(pool: &[Account], tried: &[AccountId], now: Timestamp) -> Ranking {
    let candidates: Vec<Candidate<'_>> = pool.iter().map(Account::candidate).collect();
    let ask = Ask {
        platform: Platform::ClaudeConsole,
        model: "claude-sonnet-5",
        now,
        day_ends: None,
        tried,
        binding: &AccountBinding::Pool,
        restricted_models: &[],
        sticky: None,
    };
    let ranking = rank(&candidates, &ask, Policy::RoundRobin, 0);
    for (account, verdict) in pool.iter().zip(&ranking.verdicts) {
        println!("  {}: {verdict}", account.id);
    }
    ranking
}

fn main() -> Result<(), InvalidId> {
    let now = Timestamp::from_millis(1_700_000_000_000);
    let mut pool = vec![Account::new("team-a")?, Account::new("team-b")?];
    let mut tried = Vec::new();

    // Both answer 529 in turn; a real program would send the request here.
    let shortage = loop {
        let ranking = decide(&pool, &tried, now);
        let Some(index) = ranking.first() else { break ranking.shortage() };
        println!("{} answers: overloaded", pool[index].id);
        let health = pool[index].health.clone();
        pool[index].health = health.on(HealthEvent::Overloaded(Rest::BRIEF), now);
        tried.push(pool[index].id.clone());
    };
    println!("nobody is left: {shortage}");
    Ok(())
}
