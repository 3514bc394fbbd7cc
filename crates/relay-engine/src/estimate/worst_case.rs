//! The most that a request can come to, for budgets that must not be passed:
//! - every byte of the body is a token (no tokenizer makes more of them), up to what the model takes, and
//!   [`ADDED_TOKENS`] more for what the provider adds, or [`ADDED_FOR_TOOLS`] if it speaks of tools;
//! - an image counts as many tokens as the largest does;
//! - if the body has content whose tokens its bytes do not bound (an address, a file's id, a PDF), the input
//!   is all that the model takes; if it offers tools that the provider runs itself, that as often as the provider calls
//!   the model for one answer, and every search that it allows;
//! - if the body speaks of caching, all of it is written to the cache at the dearest price asked for;
//! - the output is all that the body allows, or all that the model gives;
//! - of the modes that the body speaks of (fast, priority, residency), the dearest.

use memchr::memmem;
use relay_domain::{TokenCount, TokenUsage};
use relay_pricing::{Charge, ModelPrice, PriceBook, ServiceTier};
use relay_store::Estimate;

use super::hidden::Hidden;
use super::{Prospect, charge, estimate, length};

/// Output of a model of which no maximum is known.
const MOST_OUTPUT: u64 = 128_000;
/// Input of a model of which no maximum is known, and of one whose larger context is a matter of a header.
const MOST_INPUT: u64 = 1_000_000;
/// Tokens that a provider adds to a request, and to one with tools, with room to spare.
pub(super) const ADDED_TOKENS: u64 = 256;
pub(super) const ADDED_FOR_TOOLS: u64 = 4_096;
/// Tokens of the largest image, however few bytes it has.
const MOST_OF_AN_IMAGE: u64 = 5_000;
/// How often Anthropic calls the model for one answer in which it runs tools itself, before it gives the
/// answer back with the stop reason `pause_turn`.
const MOST_TURNS: u64 = 10;

/// The worst case.
pub(crate) fn worst_case(prices: &PriceBook, prospect: &Prospect<'_>) -> Estimate {
    let price = prospect.priced_as.and_then(|model| prices.lookup(model)).map(|(_, price)| price);
    let takes = price.and_then(ModelPrice::max_input_tokens).map_or(0, TokenCount::get);
    let takes = takes.max(MOST_INPUT);
    let says_anything = may_hide_names(prospect.body);
    let says = |word: &str| says_anything || memmem::find(prospect.body, word.as_bytes()).is_some();
    let hidden = if says_anything { Hidden::ANYTHING } else { Hidden::of(prospect.body) };
    let input = if hidden.provider_tools {
        takes.saturating_mul(MOST_TURNS)
    } else if hidden.content {
        takes
    } else {
        let images = hidden.images.saturating_mul(MOST_OF_AN_IMAGE);
        let added = if says("tool") { ADDED_FOR_TOOLS } else { ADDED_TOKENS };
        (length(prospect.body) + added).saturating_add(images).min(takes)
    };
    let gives = || price.and_then(ModelPrice::max_output_tokens).map(TokenCount::get);
    let output = prospect.scan.max_tokens.map(TokenCount::get).or_else(gives);
    let output = output.unwrap_or(MOST_OUTPUT);
    let mut usages = vec![charge(input, output)];
    if says("cache_control") {
        let (input, output) = (TokenCount::new(input), TokenCount::new(output));
        usages.push(TokenUsage { cache_write_5m: input, output, ..TokenUsage::ZERO }.into());
        if says("1h") {
            usages.push(TokenUsage { cache_write_1h: input, output, ..TokenUsage::ZERO }.into());
        }
    }
    let mut charges = Vec::with_capacity(8 * usages.len());
    let either = |may: bool| if may { &[false, true][..] } else { &[false] };
    let (fasts, residencies) = (either(says("fast")), either(says("inference_geo")));
    let web_searches = hidden.web_searches;
    for usage in usages {
        for tier in [ServiceTier::Standard, ServiceTier::Priority] {
            for fast in fasts {
                for us_residency in residencies {
                    let (fast, us_residency) = (*fast, *us_residency);
                    charges.push(Charge { tier, fast, us_residency, web_searches, ..usage });
                }
            }
        }
    }
    estimate(prices, prospect, &charges)
}

/// Whether a letter or digit of a name is written as an escape: then the body may say anything. Escaped
/// control characters and marks, which terminals' output is full of, hide no name.
fn may_hide_names(body: &[u8]) -> bool {
    memmem::find_iter(body, br"\u00").any(|at| {
        let digits = body.get(at + 4..at + 6);
        digits.is_some_and(|digits| matches!(digits, [b'3', b'0'..=b'9'] | [b'4'..=b'7', _]))
    })
}
