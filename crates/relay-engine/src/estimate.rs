//! What a request may come to, before it is known: what admission holds of the limits.
//!
//! Where no budget is hard, a request is held at the recent average of its key and model; the first ones of
//! a key at what their size suggests. Both are guesses, and budgets that allow for them (`soft`) may be
//! passed by what the guess was short of.
//!
//! Where a budget is hard, the worst case is held, so that it cannot be passed ([`Allowance`]).

mod hidden;
mod worst_case;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use relay_domain::{
    AffinityKey, KeyId, ModelName, Multiplier, NanoUsd, RequestRecord, TokenCount, TokenUsage,
};
use relay_pricing::{Charge, Reckoning};
use relay_protocol::anthropic::RequestScan;
use relay_store::Estimate;

pub(crate) use self::worst_case::Allowance;

/// Bytes of a body that make a token, as English and code go.
const BYTES_PER_TOKEN: u64 = 4;
/// Output that a guess reckons with at most; few answers are longer.
const USUAL_OUTPUT: u64 = 4_096;
/// An average moves by one part in so many towards the newest value.
const MEMORY: i128 = 8;
/// Averages and conversations remembered. Beyond it memory starts afresh.
const MAX_REMEMBERED: usize = 10_000;

/// What recent requests came to.
#[derive(Debug, Default)]
pub(crate) struct Experience {
    averages: Mutex<HashMap<(KeyId, ModelName), Estimate>>,
    conversations: Mutex<HashMap<AffinityKey, LastTurn>>,
}

/// The last request of a conversation: how large its body was, and what the provider made of it.
#[derive(Clone, Copy, Debug)]
struct LastTurn {
    bytes: u64,
    input: u64,
}

/// What is to be estimated.
#[derive(Clone, Copy)]
pub(crate) struct Prospect<'a> {
    pub(crate) key: &'a KeyId,
    pub(crate) scan: &'a RequestScan,
    pub(crate) body: &'a Bytes,
    pub(crate) affinity: Option<&'a AffinityKey>,
    /// By which price.
    pub(crate) by: Reckoning<'a>,
    /// By how much its cost counts.
    pub(crate) rates: [Multiplier; 3],
}

impl Experience {
    /// The guess for a payer without hard budgets; `by_average`: recent requests of it count.
    pub(crate) fn guess(&self, prospect: &Prospect<'_>, by_average: bool) -> Estimate {
        if by_average {
            let averages = self.averages.lock().unwrap_or_else(PoisonError::into_inner);
            let name = (prospect.key.clone(), prospect.scan.model.clone());
            if let Some(average) = averages.get(&name) {
                return *average;
            }
        }
        let bytes = length(prospect.body);
        let last = prospect.affinity.filter(|_| by_average).and_then(|affinity| {
            let turns = self.conversations.lock().unwrap_or_else(PoisonError::into_inner);
            turns.get(affinity).copied()
        });
        let input = match last {
            Some(last) if last.bytes > 0 => {
                let scaled = u128::from(bytes) * u128::from(last.input) / u128::from(last.bytes);
                u64::try_from(scaled).unwrap_or(u64::MAX).min(bytes)
            }
            Some(_) | None => bytes / BYTES_PER_TOKEN,
        };
        let asked = prospect.scan.max_tokens.map_or(USUAL_OUTPUT, TokenCount::get);
        let charge = charge(input, asked.min(USUAL_OUTPUT));
        let (tokens, cost) = (charge.usage.total().get(), prospect.by.of(&charge));
        Estimate { tokens, cost, charged: Multiplier::apply_all(&prospect.rates, cost) }
    }

    /// Remembers what a request of `body_bytes` came to.
    pub(crate) fn learn(
        &self,
        record: &RequestRecord,
        affinity: Option<&AffinityKey>,
        body_bytes: u64,
    ) {
        let seen = Estimate {
            tokens: record.usage.total().get(),
            cost: record.cost.or(record.presumed_cost).unwrap_or_default(),
            charged: record.charged.unwrap_or_default(),
        };
        let name = (record.key.clone(), record.model.clone());
        remember(&self.averages, name, |average| match average {
            Some(average) => moved(average, &seen),
            None => seen,
        });
        if let Some(affinity) = affinity {
            let turn = LastTurn { bytes: body_bytes, input: record.usage.all_input().get() };
            remember(&self.conversations, affinity.clone(), |_| turn);
        }
    }
}

fn charge(input: u64, output: u64) -> Charge {
    let (input, output) = (TokenCount::new(input), TokenCount::new(output));
    TokenUsage { input, output, ..TokenUsage::ZERO }.into()
}

fn moved(average: &Estimate, seen: &Estimate) -> Estimate {
    let step = |old: i128, new: i128| old + (new - old) / MEMORY;
    let money = |old: NanoUsd, new: NanoUsd| {
        let nanos = step(old.as_nanos().into(), new.as_nanos().into());
        NanoUsd::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    };
    let tokens = step(average.tokens.into(), seen.tokens.into());
    Estimate {
        tokens: u64::try_from(tokens).unwrap_or(0),
        cost: money(average.cost, seen.cost),
        charged: money(average.charged, seen.charged),
    }
}

fn remember<K: Eq + Hash, V>(
    memory: &Mutex<HashMap<K, V>>,
    name: K,
    value: impl FnOnce(Option<&V>) -> V,
) {
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    let value = value(memory.get(&name));
    if memory.len() >= MAX_REMEMBERED && !memory.contains_key(&name) {
        memory.clear();
    }
    memory.insert(name, value);
}

fn length(body: &Bytes) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
