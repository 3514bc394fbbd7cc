//! v1's sums of dollars, read: what a v1 counted of a key's cost is in them alone, and the limits of keys are
//! read from them.

use redis::{Pipeline, Value};
use relay_domain::{KeyId, NanoUsd, Period};
use relay_store::{StoreError, UsageTotals};

use crate::connection;
use crate::hash::Hash;
use crate::keyspace::Keyspace;
use crate::money;

/// Whether a counter has costs of Relay's, which are exact.
pub(crate) fn is_exact(counter: &Hash) -> bool {
    counter.text("costNano").is_some() || counter.text("chargedNano").is_some()
}

/// Asks for the sums of a key in a period; [`take`] reads the answer.
pub(crate) fn ask(key: &KeyId, period: Period, keyspace: &Keyspace, pipeline: &mut Pipeline) {
    pipeline.cmd("MGET").arg(keyspace.charged(key, period)).arg(keyspace.cost(key, period));
    if period == Period::Total {
        pipeline.arg(keyspace.claude_charged(key, None));
    }
}

/// Puts sums in place of what a counter says, as far as there are any. Where nothing but v1 has counted and
/// it had no sum of costs for the period, it cost what was charged.
///
/// # Errors
///
/// [`StoreError`] if it is no answer to [`ask`].
pub(crate) fn take(
    answer: Value,
    is_exact: bool,
    totals: &mut UsageTotals,
    claude: &mut NanoUsd,
) -> Result<(), StoreError> {
    let sums: Vec<Option<String>> = connection::read(answer, "MGET")?;
    let sum = |at: usize| sums.get(at).and_then(|sum| money::parse(sum.as_deref()?));
    totals.charged = sum(0).unwrap_or(totals.charged);
    let cost = if is_exact { totals.cost } else { totals.charged };
    totals.cost = sum(1).unwrap_or(cost);
    *claude = sum(2).unwrap_or(*claude);
    Ok(())
}
