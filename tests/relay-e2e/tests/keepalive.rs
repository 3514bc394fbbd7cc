//! Silence of the upstream is filled with the protocol's own sign of life, and has an end.

use std::time::Duration;

use relay_e2e::{End, Relay, Request, Store, Upstream, on_both_stores};
use relay_sandbox::{Outcome, Step};
use tokio::time::timeout;

use crate::conversation::{TEXT, streamed};
use crate::stored::the_record;

on_both_stores![silence_is_filled_with_pings, silence_has_an_end];

/// What Relay inserts; the sandbox's own pings are spelled without the space.
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

async fn silence_is_filled_with_pings(store: Store) {
    let relay = Relay::with(store).env("RELAY_KEEP_ALIVE_SECONDS", "1").start().await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let direct = Upstream::start().await;
    let step = Step::new().text(TEXT).deltas(6);
    // After the start of the block, between two deltas, and before the end.
    for frame in [1, 5, 9] {
        let silent = step.clone().silence_after_frame(frame, 2_500).chunk_bytes(50);
        account.script(silent);
        let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
        let expected = direct.answer(step.clone(), streamed()).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean), "frame {frame}");
        let pings = answer.text().matches(PING).count();
        assert!(pings >= 2, "after frame {frame}, {pings} pings: {}", answer.text());
        assert_eq!(
            answer.text().replace(PING, ""),
            expected.text(),
            "frame {frame}: between whole frames"
        );
    }
}

async fn silence_has_an_end(store: Store) {
    let relay = Relay::with(store).env("RELAY_IDLE_TIMEOUT_SECONDS", "1").start().await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    account.script(Step::new().deltas(6).silence_after_frame(4, 60_000));
    let request = Request::messages(&key.secret, streamed());
    let answer = timeout(Duration::from_secs(5), relay.send(&request)).await.unwrap();
    assert_eq!((answer.status, answer.end), (200, End::Aborted));
    let events = answer.events();
    assert_eq!(answer.count_of("content_block_delta"), 2);
    assert_eq!(events.last().unwrap().name, "error");
    let record = the_record(&relay).await;
    assert_eq!(record["outcome"], "upstream_failed");
    account.holds(0).await;
    assert_eq!(account.the_request().outcome, Outcome::ClientClosed, "the upstream is stopped");
}
