use relay_domain::{Outcome, UsageSource};
use relay_protocol::anthropic::scan_request;

use super::worst_case::{ADDED_FOR_TOOLS, ADDED_TOKENS};
use super::*;

const MODEL: &str = "claude-sonnet-4-5";

fn book() -> PriceBook {
    PriceBook::builtin().unwrap()
}

fn body(more: &str) -> Bytes {
    let text = "some words of a question ".repeat(40);
    Bytes::from(format!(
        r#"{{"model":"{MODEL}"{more},"messages":[{{"role":"user","content":"{text}"}}]}}"#
    ))
}

/// Estimates a request whose body has `more` in it.
fn estimated(
    experience: &Experience,
    more: &str,
    affinity: Option<&AffinityKey>,
    how: impl FnOnce(&Experience, &Prospect<'_>) -> Estimate,
) -> Estimate {
    let (key, body) = (KeyId::try_from("k").unwrap(), body(more));
    let scan = scan_request(&body).unwrap();
    let prospect = Prospect {
        key: &key,
        scan: &scan,
        body: &body,
        affinity,
        priced_as: Some(MODEL),
        rates: [Multiplier::ONE; 3],
    };
    how(experience, &prospect)
}

fn guess(experience: &Experience, affinity: Option<&AffinityKey>) -> Estimate {
    estimated(experience, "", affinity, |experience, prospect| {
        experience.guess(&book(), prospect, true)
    })
}

fn worst(more: &str) -> Estimate {
    estimated(&Experience::default(), more, None, |_, prospect| worst_case(&book(), prospect))
}

fn record(model: &str, input: u64, nanos: i64) -> RequestRecord {
    let usage = TokenUsage { input: TokenCount::new(input), ..TokenUsage::ZERO };
    let cost = Some(NanoUsd::from_nanos(nanos));
    RequestRecord {
        usage,
        usage_source: UsageSource::Final,
        outcome: Outcome::Completed,
        cost,
        charged: cost,
        ..crate::flight::tests::record("k", model)
    }
}

#[test]
fn the_average_of_key_and_model_is_what_is_held() {
    let experience = Experience::default();
    let cold = guess(&experience, None);
    assert!(cold.cost > NanoUsd::ZERO && cold.tokens > 1_000, "{cold:?}");
    experience.learn(&record(MODEL, 100, 8_000), None, 400);
    assert_eq!(
        (guess(&experience, None).charged, guess(&experience, None).tokens),
        (NanoUsd::from_nanos(8_000), 100)
    );
    experience.learn(&record(MODEL, 180, 16_000), None, 400);
    assert_eq!(
        (guess(&experience, None).charged, guess(&experience, None).tokens),
        (NanoUsd::from_nanos(9_000), 110)
    );
    experience.learn(&record("another", 180, 1), None, 400);
    assert_eq!(guess(&experience, None).charged, NanoUsd::from_nanos(9_000), "models apart");
}

#[test]
fn a_conversation_tells_how_many_tokens_its_bytes_make() {
    let experience = Experience::default();
    let affinity = AffinityKey::try_from("a1").unwrap();
    // Of another model, so that there is no average.
    experience.learn(&record("another", 50, 1), Some(&affinity), 1_000);
    let by_size = guess(&experience, None);
    let by_turn = guess(&experience, Some(&affinity));
    assert!(by_turn.tokens < by_size.tokens, "{by_turn:?} {by_size:?}");
}

#[test]
fn the_worst_case_is_above_all_that_a_body_allows() {
    let plain = worst(r#","max_tokens":1000"#);
    let bytes = length(&body(r#","max_tokens":1000"#));
    assert_eq!(plain.tokens, bytes + ADDED_TOKENS + 1_000);
    // 3 dollars a million in, 15 out.
    let expected = i64::try_from(bytes + ADDED_TOKENS).unwrap() * 3_000 + 1_000 * 15_000;
    assert_eq!(plain.charged, NanoUsd::from_nanos(expected));
    let with_tools = worst(r#","max_tokens":1000,"tools":[]"#);
    assert!(plain.tokens + ADDED_FOR_TOOLS - ADDED_TOKENS <= with_tools.tokens);
    let cached = worst(r#","max_tokens":1000,"cache_control":{"type":"ephemeral"}"#);
    let for_an_hour =
        worst(r#","max_tokens":1000,"cache_control":{"type":"ephemeral","ttl":"1h"}"#);
    assert!(plain.cost < cached.cost && cached.cost < for_an_hour.cost);
    let hidden = worst(r#","max_tokens":1000,"cache\u005fcontrol":{"ttl":"\u0031h"}"#);
    assert!(cached.cost < hidden.cost, "an escape hides nothing");
    let coloured = worst(r#","max_tokens":1000,"system":"\u001b[1m and \u003c""#);
    assert!(
        coloured.cost.as_nanos() < 2 * cached.cost.as_nanos(),
        "a terminal's output hides nothing either"
    );
    assert!(worst("").cost > plain.cost, "without a bound, all that the model gives");
}

#[test]
fn what_a_body_only_refers_to_is_held_at_all_that_the_model_takes() {
    let by_address = worst(r#","max_tokens":1000,"system":[{"source":{"type":"url","url":"a"}}]"#);
    assert_eq!(by_address.tokens, 1_000_000 + 1_000);
    let tool = |kind| format!(r#","max_tokens":1000,"tools":[{{"type":"{kind}"}}]"#);
    let (fetching, searching) =
        (worst(&tool("web_fetch_20250910")), worst(&tool("web_search_20250305")));
    assert_eq!(fetching.tokens, 10 * 1_000_000 + 1_000);
    assert_eq!(searching.cost - fetching.cost, NanoUsd::from_nanos(1_000_000_000), "100 searches");
    let plain = worst(r#","max_tokens":1000,"system":"text/png""#);
    let image = worst(r#","max_tokens":1000,"system":"image/png""#);
    assert!(plain.tokens + 4_784 < image.tokens, "the largest image is in it");
}

#[test]
fn a_model_without_price_is_held_at_the_fallback_rate() {
    let (key, body) = (KeyId::try_from("k").unwrap(), body(""));
    let scan = scan_request(&body).unwrap();
    let prospect = Prospect {
        key: &key,
        scan: &scan,
        body: &body,
        affinity: None,
        priced_as: None,
        rates: [Multiplier::ONE; 3],
    };
    let held = Experience::default().guess(&book(), &prospect, false);
    assert!(held.charged > NanoUsd::ZERO);
    assert!(worst_case(&book(), &prospect).charged > held.charged);
}

#[test]
fn memory_is_bounded() {
    let experience = Experience::default();
    for number in 0..MAX_REMEMBERED + 5 {
        experience.learn(&record(&format!("m{number}"), 1, 1), None, 1);
    }
    assert_eq!(experience.averages.lock().unwrap().len(), 5);
}
