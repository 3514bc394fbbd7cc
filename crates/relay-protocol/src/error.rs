//! Why a request's body could not be read.

use relay_domain::InvalidId;

/// Why a request's body could not be read. The client's fault, and `Display` tells it what to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScanError {
    /// The body is not JSON, or ends before the JSON does.
    #[error(
        "the request body is not valid JSON: {problem} at byte {offset}; send one complete JSON \
         object, in UTF-8 and without a byte order mark"
    )]
    NotJson {
        /// How many bytes of the body come before the fault.
        offset: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The body is JSON, but not an object.
    #[error("the request body must be a JSON object, such as {{\"model\": …, \"messages\": […]}}")]
    NotAnObject,
    /// There is no `model`.
    #[error("model: field required; name the model to use, as text")]
    MissingModel,
    /// `model` is not a string.
    #[error("model: must be a string; put the model's name in double quotes")]
    ModelNotAString,
    /// `model` is a string that cannot name a model.
    #[error("model: not a model's name ({source}); check its spelling")]
    InvalidModel {
        /// What is wrong with it.
        #[source]
        source: InvalidId,
    },
    /// A field that Relay acts on has a type that it cannot act on.
    #[error("{name}: must be {expected}; correct it or leave it out")]
    InvalidField {
        /// The field's name in the body.
        name: &'static str,
        /// What the field may be.
        expected: &'static str,
    },
}
