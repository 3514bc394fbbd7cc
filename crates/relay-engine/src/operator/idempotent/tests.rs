use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::operator::fixture::Desk;

#[tokio::test]
async fn what_is_asked_twice_is_done_once() {
    let desk = Desk::new();
    let count = AtomicU32::new(0);
    let ask = async |name: &str, fingerprint: &str| {
        let work = async {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, OperatorError>(SecretString::from("cr_secret"))
        };
        desk.operator.once(name, fingerprint, work).await
    };
    for _ in 0..2 {
        assert_eq!(ask("n", "f").await.unwrap().expose_secret(), "cr_secret");
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    let other = ask("n", "another request").await;
    assert!(matches!(other, Err(OperatorError::KeyReused)), "{other:?}");
    let now = desk.operator.clock.now();
    let Claim::Answered(kept) = desk.stores.idempotency.claim("n", "f", now).await.unwrap() else {
        panic!("it is kept")
    };
    assert!(!kept.contains("secret"), "sealed");

    desk.stores.idempotency.claim("busy", "f", now).await.unwrap();
    let busy = ask("busy", "f").await;
    assert!(matches!(busy, Err(OperatorError::InProgress)), "{busy:?}");
}

#[tokio::test]
async fn what_failed_may_be_tried_again() {
    let desk = Desk::new();
    let fail = async { Err::<SecretString, _>(OperatorError::NotFound("API Key")) };
    assert!(desk.operator.once("n", "f", fail).await.is_err());
    let succeed = async { Ok::<_, OperatorError>(SecretString::from("done")) };
    let done = desk.operator.once("n", "f", succeed).await.unwrap();
    assert_eq!(done.expose_secret(), "done");
}
