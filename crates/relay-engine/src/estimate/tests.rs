use relay_domain::{Outcome, UsageSource};
use relay_pricing::PriceBook;
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

/// Guesses a request.
fn guess(experience: &Experience, affinity: Option<&AffinityKey>) -> Estimate {
    let (key, body, book) = (KeyId::try_from("k").unwrap(), body(""), book());
    let scan = scan_request(&body).unwrap();
    let (by, rates) = (book.reckoning([MODEL]), [Multiplier::ONE; 3]);
    let prospect = Prospect { key: &key, scan: &scan, body: &body, affinity, by, rates };
    experience.guess(&prospect, true)
}

/// The worst case of a request whose body has `more` in it.
fn worst(more: &str) -> Estimate {
    worst_on(MODEL, more)
}

fn worst_on(model: &str, more: &str) -> Estimate {
    let body = body(more);
    let allowance = Allowance::of(&scan_request(&body).unwrap(), &body);
    allowance.worst_case(&book().reckoning([model]), &[Multiplier::ONE])
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
    // 3 dollars a million in, 15 out, and a tenth more if it is kept to the United States.
    let expected = i64::try_from(bytes + ADDED_TOKENS).unwrap() * 3_300 + 1_000 * 16_500;
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
fn a_model_without_price_is_held_at_the_fallback() {
    // 15 dollars a million out, and a tenth more; the bodies are of one length.
    let (less, more) = (r#","max_tokens":1000000"#, r#","max_tokens":2000000"#);
    let output = worst_on("nobody-knows", more).cost - worst_on("nobody-knows", less).cost;
    assert_eq!(output.to_string(), "16.50");
}

#[test]
fn an_output_beyond_belief_is_held_at_all_there_is() {
    let worst = worst(r#","max_tokens":18446744073709551615"#);
    assert_eq!((worst.cost, worst.tokens), (NanoUsd::MAX, u64::MAX));
}

#[test]
fn what_lacks_a_price_of_its_own_for_a_mode_is_held_at_it_nevertheless() {
    let asked = r#","max_tokens":1000,"speed":"fast""#;
    let terms = relay_domain::ServedTerms { fast: true, us_residency: true, ..Default::default() };
    let usage = TokenUsage { output: TokenCount::new(1_000), ..TokenUsage::ZERO };
    for model in ["claude-haiku-4-5", "claude-sonnet-5", "claude-opus-4-6"] {
        let charged = book().reckoning([model]).of(&(usage, terms).into());
        assert!(charged < worst_on(model, asked).charged, "{model}");
    }
}

#[test]
fn memory_is_bounded() {
    let experience = Experience::default();
    for number in 0..MAX_REMEMBERED + 5 {
        experience.learn(&record(&format!("m{number}"), 1, 1), None, 1);
    }
    assert_eq!(experience.averages.lock().unwrap().len(), 5);
}
