//! What every [`Ledger`](crate::Ledger) owes requests that wait.

use relay_domain::Timestamp;

use super::fixture::{at, at_once, key_id, request_id};
use crate::{Line, Stores, Waiting, WaitsTo};

fn line(key: &str, to: WaitsTo) -> Line {
    Line { key: key_id(key), to }
}

/// Whether the `number`th request may wait until `until` in a line of two places.
async fn waits(stores: &Stores, number: u8, line: Line, now: Timestamp, until: Timestamp) -> bool {
    let waiting = Waiting { request: request_id(number), line, most: 2, now, until };
    stores.ledger.begin_waiting(&waiting).await.unwrap()
}

/// A line has so many places, and who leaves makes room. Every key has a line of its own for each thing that
/// its requests wait for.
pub async fn a_line_has_so_many_places(stores: &Stores) {
    let of_k = || line("k", WaitsTo::BeLetIn);
    assert!(waits(stores, 0, of_k(), at(0), at(9_000)).await);
    assert!(waits(stores, 1, of_k(), at(0), at(9_000)).await);
    assert!(!waits(stores, 2, of_k(), at(1), at(9_000)).await, "full");
    assert!(waits(stores, 1, of_k(), at(1), at(9_000)).await, "who waits goes on waiting");
    for (number, other) in [(3, line("k", WaitsTo::BeServed)), (4, line("other", WaitsTo::BeLetIn))]
    {
        assert!(waits(stores, number, other, at(1), at(9_000)).await);
    }
    stores.ledger.end_waiting(&of_k(), request_id(9)).await.unwrap();
    assert!(!waits(stores, 2, of_k(), at(2), at(9_000)).await, "who did not wait makes no room");
    stores.ledger.end_waiting(&of_k(), request_id(0)).await.unwrap();
    assert!(waits(stores, 2, of_k(), at(2), at(9_000)).await);
    assert!(!waits(stores, 0, of_k(), at(2), at(9_000)).await);
}

/// The place of a request whose process has died is free again at its end.
pub async fn a_place_in_a_line_ends_by_itself(stores: &Stores) {
    let of_k = || line("k", WaitsTo::BeLetIn);
    assert!(waits(stores, 0, of_k(), at(0), at(5_000)).await);
    assert!(waits(stores, 1, of_k(), at(0), at(9_000)).await);
    assert!(!waits(stores, 2, of_k(), at(4_999), at(9_000)).await);
    assert!(waits(stores, 2, of_k(), at(5_000), at(9_000)).await);
    assert!(!waits(stores, 3, of_k(), at(5_000), at(9_000)).await);
}

/// However many ask at once, no more than there are places get one.
pub async fn places_in_a_line_are_exact_under_parallel_requests(stores: &Stores) {
    let asked =
        at_once(
            (0..20).map(|number: u8| {
                let stores = stores.clone();
                async move {
                    waits(&stores, number, line("k", WaitsTo::BeLetIn), at(0), at(9_000)).await
                }
            }),
        );
    assert_eq!(asked.await.into_iter().filter(|is_in| *is_in).count(), 2);
}
