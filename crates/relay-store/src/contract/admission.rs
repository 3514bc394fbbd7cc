//! What every [`Ledger`](crate::Ledger) owes a request that wants in.

use relay_domain::{LimitKind, LimitScope, Limits, Timestamp};

use super::fixture::{
    account, account_id, admit_request, admitted, affinity, at, at_once, checkpoint, key, key_id,
    rebind, record, request_id, settlement, usage,
};
use crate::{AdmitRequest, Binding, Denial, Grant, Settlement, Stores};

fn limited(number: u8, key: &str, concurrency: u32, now: Timestamp) -> AdmitRequest {
    let limits = Limits { concurrency: Some(concurrency), ..Limits::default() };
    AdmitRequest { limits, ..admit_request(number, key, now) }
}

async fn is_in(stores: &Stores, request: &AdmitRequest) -> bool {
    stores.ledger.admit(request).await.unwrap().decision.is_ok()
}

/// Without limits everything is in, and is told the versions that hold.
pub async fn a_request_without_limits_is_in(stores: &Stores) {
    let first = stores.ledger.admit(&admit_request(0, "k", at(0))).await.unwrap();
    assert_eq!(first.decision, Ok(Grant::default()));
    assert_eq!(first.version, stores.ledger.version().await.unwrap());

    stores.keys.create(&key("k", 1)).await.unwrap();
    let after_key = stores.ledger.admit(&admit_request(1, "k", at(1))).await.unwrap().version;
    assert!(first.version.keys < after_key.keys, "{first:?}, {after_key:?}");
    stores.accounts.create(&account("account-one")).await.unwrap();
    let after_account = stores.ledger.admit(&admit_request(2, "k", at(2))).await.unwrap().version;
    assert!(after_key.accounts < after_account.accounts, "{after_key:?}, {after_account:?}");
    assert_eq!(after_account, stores.ledger.version().await.unwrap());

    for number in 3..30 {
        admitted(stores, number, "k", at(3)).await;
    }
    let last = stores.ledger.version().await.unwrap();
    assert_eq!(last, after_account, "requests change no version");
}

/// So many at once and no more; a denial says which limit, how much of it is used, and the versions.
pub async fn the_concurrency_limit_is_exact(stores: &Stores) {
    for number in 0..3 {
        assert!(is_in(stores, &limited(number, "k", 3, at(0))).await, "{number}");
    }
    stores.keys.create(&key("k", 1)).await.unwrap();
    let denied = stores.ledger.admit(&limited(3, "k", 3, at(0))).await.unwrap();
    let expected = Denial {
        scope: LimitScope::Key(key_id("k")),
        limit: LimitKind::Concurrency,
        used: 3,
        held: 0,
        allowed: 3,
        resets_at: None,
    };
    assert_eq!(denied.decision, Err(expected.clone()));
    assert_eq!(denied.version, stores.ledger.version().await.unwrap());
    assert!(is_in(stores, &limited(4, "k", 4, at(0))).await, "a raised limit lets one more in");
    let lowered = stores.ledger.admit(&limited(5, "k", 2, at(0))).await.unwrap();
    assert_eq!(lowered.decision, Err(Denial { used: 4, allowed: 2, ..expected }), "a lowered one");
    assert!(!stores.ledger.settle(&settlement(record(3, "k"), at(1))).await.unwrap().is_first());
}

/// The limit is exact however many requests come at once.
pub async fn the_limit_is_exact_under_parallel_requests(stores: &Stores) {
    let decisions = at_once((0..100).map(|number| {
        let ledger = stores.ledger.clone();
        async move { ledger.admit(&limited(number, "k", 10, at(0))).await.unwrap().decision }
    }))
    .await;
    let granted = decisions.iter().filter(|decision| decision.is_ok()).count();
    assert_eq!(granted, 10, "{decisions:?}");
}

/// A limit is of one key.
pub async fn keys_do_not_share_a_limit(stores: &Stores) {
    assert!(is_in(stores, &limited(0, "one", 1, at(0))).await);
    assert!(is_in(stores, &limited(1, "two", 1, at(0))).await);
    assert!(!is_in(stores, &limited(2, "one", 1, at(0))).await);
}

/// A dead process's requests free their slots when their leases end.
pub async fn a_lease_that_has_ended_holds_nothing(stores: &Stores) {
    let lease_until = at(1_000);
    let first = AdmitRequest { lease_until, ..limited(0, "k", 1, at(0)) };
    assert!(is_in(stores, &first).await);
    assert!(!is_in(stores, &limited(1, "k", 1, at(999))).await, "it holds until its end");
    assert!(is_in(stores, &limited(2, "k", 1, at(1_000))).await, "and no longer");
    assert!(!is_in(stores, &limited(3, "k", 1, at(1_001))).await, "the slot is taken again");
}

/// A lease that is extended ends at its new end.
pub async fn a_checkpoint_extends_the_lease(stores: &Stores) {
    let lease_until = at(1_000);
    let first = AdmitRequest { lease_until, ..limited(0, "k", 1, at(0)) };
    assert!(is_in(stores, &first).await);
    assert!(stores.ledger.checkpoint(&checkpoint(0, at(5_000), usage(1))).await.unwrap());
    assert!(!is_in(stores, &limited(1, "k", 1, at(4_999))).await);
    assert!(is_in(stores, &limited(2, "k", 1, at(5_000))).await);

    let unknown = stores.ledger.checkpoint(&checkpoint(99, at(9_000), usage(1))).await.unwrap();
    assert!(!unknown, "what was never in has no lease");
    assert_eq!(stores.ledger.reap(at(8_999), 10).await.unwrap().len(), 1, "nor gets one");
}

/// The end of a request frees its slot at once, counted or not.
pub async fn a_settled_request_frees_its_slot(stores: &Stores) {
    assert!(is_in(stores, &limited(0, "k", 1, at(0))).await);
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    assert!(is_in(stores, &limited(1, "k", 1, at(1))).await);
    let release =
        Settlement { charge: crate::Charge::Release, ..settlement(record(1, "k"), at(2)) };
    assert!(stores.ledger.settle(&release).await.unwrap().is_first());
    assert!(is_in(stores, &limited(2, "k", 1, at(2))).await);
    assert!(!is_in(stores, &limited(3, "k", 1, at(2))).await);
}

/// A request that asks again, because what it asked with was out of date, is one request.
pub async fn asking_again_takes_no_second_slot(stores: &Stores) {
    assert!(is_in(stores, &limited(0, "k", 2, at(0))).await);
    assert!(is_in(stores, &limited(0, "k", 1, at(1))).await, "it does not stand in its own way");
    assert!(is_in(stores, &limited(1, "k", 2, at(1))).await);
    assert!(!is_in(stores, &limited(2, "k", 2, at(1))).await);
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(2))).await.unwrap().is_first());
    assert!(!stores.ledger.settle(&settlement(record(0, "k"), at(2))).await.unwrap().is_first());
}

/// A request that asks again and is denied is not in: it needs no settlement to free its slot.
pub async fn asking_again_in_vain_takes_none(stores: &Stores) {
    assert!(is_in(stores, &limited(0, "k", 2, at(0))).await);
    assert!(is_in(stores, &limited(1, "k", 2, at(0))).await);
    assert!(!is_in(stores, &limited(0, "k", 1, at(1))).await);
    assert!(is_in(stores, &limited(2, "k", 2, at(1))).await);
    assert!(!stores.ledger.settle(&settlement(record(0, "k"), at(2))).await.unwrap().is_first());
}

async fn binding_of(
    stores: &Stores,
    number: u8,
    conversation: &str,
    now: Timestamp,
) -> Option<Binding> {
    let affinity = Some(affinity(conversation));
    let request = AdmitRequest { affinity, ..admit_request(number, "k", now) };
    stores.ledger.admit(&request).await.unwrap().decision.unwrap().binding
}

/// The account that a settlement binds a conversation to is told to its next request, until it ends.
pub async fn a_binding_is_seen_until_it_ends(stores: &Stores) {
    assert_eq!(binding_of(stores, 0, "aa", at(0)).await, None);
    let bound = Settlement {
        bind: Some(rebind("aa", "account-one", at(5_000))),
        ..settlement(record(0, "k"), at(1))
    };
    assert!(stores.ledger.settle(&bound).await.unwrap().is_first());
    let binding = Binding { account: account_id("account-one"), until: at(5_000) };
    assert_eq!(binding_of(stores, 1, "aa", at(2)).await, Some(binding.clone()));
    assert_eq!(binding_of(stores, 2, "bb", at(2)).await, None, "another conversation");
    assert_eq!(binding_of(stores, 3, "aa", at(4_999)).await, Some(binding), "up to its end");
    assert_eq!(binding_of(stores, 4, "aa", at(5_000)).await, None, "and no longer");

    let late = Settlement {
        bind: Some(rebind("cc", "account-one", at(5_000))),
        ..settlement(record(0, "k"), at(6))
    };
    assert!(!stores.ledger.settle(&late).await.unwrap().is_first());
    assert_eq!(binding_of(stores, 5, "cc", at(7)).await, None, "what was settled binds nothing");
}

/// A settlement without a binding leaves it; one with another account or end replaces it.
pub async fn a_binding_is_renewed_and_replaced(stores: &Stores) {
    for (number, bind, expected) in [
        (0, Some(rebind("aa", "account-one", at(5_000))), ("account-one", at(5_000))),
        (1, None, ("account-one", at(5_000))),
        (2, Some(rebind("aa", "account-one", at(9_000))), ("account-one", at(9_000))),
        (3, Some(rebind("aa", "account-two", at(8_000))), ("account-two", at(8_000))),
    ] {
        admitted(stores, number, "k", at(0)).await;
        let end = Settlement { bind, ..settlement(record(number, "k"), at(1)) };
        assert!(stores.ledger.settle(&end).await.unwrap().is_first(), "{}", request_id(number));
        let (account, until) = (account_id(expected.0), expected.1);
        let seen = binding_of(stores, 100 + number, "aa", at(2)).await;
        assert_eq!(seen, Some(Binding { account, until }), "after settlement {number}");
    }
}
