//! A bound on retries over the whole process, so that trouble upstream is not multiplied.

use std::sync::Mutex;

use relay_domain::Timestamp;

/// Retries that may be saved up.
const CAPACITY: f64 = 100.0;
/// What each request adds: one retry for five requests.
const PER_REQUEST: f64 = 0.2;
/// What time adds, so that a quiet installation can always fail over.
const PER_SECOND: f64 = 10.0;

/// How many more attempts the process may make beyond the first of each request.
#[derive(Debug)]
pub(crate) struct RetryBudget(Mutex<Account>);

#[derive(Debug)]
struct Account {
    balance: f64,
    counted_at: Timestamp,
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Account { balance: CAPACITY, counted_at: Timestamp::EPOCH }))
    }

    /// Counts a request.
    pub(crate) fn deposit(&self) {
        if let Ok(mut account) = self.0.lock() {
            account.balance = (account.balance + PER_REQUEST).min(CAPACITY);
        }
    }

    /// Takes one retry, if there is one left.
    pub(crate) fn withdraw(&self, now: Timestamp) -> bool {
        let Ok(mut account) = self.0.lock() else { return false };
        let earned = now.since(account.counted_at).as_secs_f64() * PER_SECOND;
        account.balance = (account.balance + earned).min(CAPACITY);
        account.counted_at = account.counted_at.max(now);
        let granted = account.balance >= 1.0;
        if granted {
            account.balance -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_run_out_and_come_back() {
        let budget = RetryBudget::new();
        let at = |ms: u64| Timestamp::from_millis(1_000_000 + ms);
        assert_eq!((0..200).filter(|_| budget.withdraw(at(0))).count(), 100);
        assert!(!budget.withdraw(at(99)), "a tenth of a second earns one, not less");
        assert!(budget.withdraw(at(100)));
        (0..5).for_each(|_| budget.deposit());
        assert!(budget.withdraw(at(100)), "five requests earn one");
        assert!(!budget.withdraw(at(100)));
    }
}
