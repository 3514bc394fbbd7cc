//! A stream arrives whole however it is cut into pieces, and counts the same.

use relay_e2e::{Relay, Request, Store, Upstream, on_both_stores};
use relay_sandbox::{Step, Usage};
use serde_json::json;

use crate::conversation::{TEXT, streamed};
use crate::stored::settled;

on_both_stores![streams_survive_every_split];

async fn streams_survive_every_split(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let direct = Upstream::start().await;
    let usage = Usage {
        input: Some(321),
        output: Some(45),
        cache_read: 7,
        cache_write_5m: 11,
        cache_write_1h: 13,
        legacy: false,
    };
    let plain = Step::new().text(TEXT).deltas(9).thinking("想一想 🤔").usage(usage);
    let mut count = 0;
    for lines in [plain.clone(), plain.crlf()] {
        for bytes in [1, 2, 3, 7, 1_000_000] {
            account.script(lines.clone().chunk_bytes(bytes));
            let relayed = relay.send(&Request::messages(&key.secret, streamed())).await;
            let expected = direct.answer(lines.clone(), streamed()).await;
            let name = format!("pieces of {bytes}, CR {}", lines.crlf);
            assert_eq!(relayed.text(), expected.text(), "{name}");
            assert_eq!(relayed.end, expected.end, "{name}");
            assert_eq!(relayed.streamed_text(), TEXT, "{name}");
            count += 1;
        }
    }
    let counted = json!({
        "input": 321, "output": 45, "cache_read": 7, "cache_write_5m": 11, "cache_write_1h": 13,
    });
    for record in settled(&relay, count).await {
        assert_eq!(record["usage"], counted);
        assert_eq!(record["usage_source"], "final");
        assert_eq!(record["outcome"], "completed");
        // 321 at 3, 45 at 15, 7 at 0.30, 11 at 3.75 and 13 at 6 dollars a million.
        assert_eq!(record["cost"], 321 * 3_000 + 45 * 15_000 + 7 * 300 + 11 * 3_750 + 13 * 6_000);
    }
}
