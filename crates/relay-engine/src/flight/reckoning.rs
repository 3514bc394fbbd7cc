//! What a request has come to by its length, where the provider has counted nothing of what it did.

use relay_domain::{ModelName, TokenCount, TokenUsage, UsageSource};
use relay_protocol::anthropic::{MessageFacts, Served, StreamTap};

use super::Flight;

/// Bytes of a body that make a token, where the provider counts nothing.
const BYTES_PER_TOKEN: u64 = 4;

impl Flight {
    /// Takes over what the tap has read of a stream that has ended. If the provider has counted nothing of
    /// what it said, lengths have to do.
    pub(crate) fn count_end(&mut self, tap: &StreamTap) {
        let output = tap.output_by_length();
        if output == TokenCount::ZERO || tap.usage().total() != TokenCount::ZERO {
            self.count_tap(tap);
        } else {
            self.count_by_length(output, tap.served_model(), tap.served());
        }
    }

    /// Takes over what a whole answer says of itself. If the provider has counted nothing of what it said,
    /// lengths have to do; nothing is reckoned for an answer that says nothing.
    pub(crate) fn count_whole(&mut self, facts: &MessageFacts) {
        let (output, model) = (facts.output_by_length, facts.served_model.as_ref());
        let counted = facts.usage.filter(|usage| usage.total() != TokenCount::ZERO);
        match counted.or(facts.usage.filter(|_| output == TokenCount::ZERO)) {
            Some(usage) => self.count(usage, UsageSource::Final, model, &facts.served),
            None if output == TokenCount::ZERO => {}
            None => self.count_by_length(output, model, &facts.served),
        }
    }

    /// Reckons the input by the length of the request.
    fn count_by_length(&mut self, output: TokenCount, model: Option<&ModelName>, served: &Served) {
        let input = TokenCount::new(self.body_bytes.div_ceil(BYTES_PER_TOKEN));
        let usage = TokenUsage { input, output, ..TokenUsage::ZERO };
        self.count(usage, UsageSource::Estimated, model, served);
    }
}
