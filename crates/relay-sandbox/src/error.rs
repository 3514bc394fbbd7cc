//! What can go wrong in the sandbox, by intention or not.

/// Why the sandbox refused a script or ended a connection.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The script is no JSON of the expected shape.
    #[error("the script cannot be read: {0}")]
    UnreadableScript(#[source] serde_json::Error),
    /// A status that no HTTP server may send as its final answer.
    #[error("step {step}: status {status} is not between 200 and 599")]
    InvalidStatus {
        /// Index of the step in its script, from zero.
        step: usize,
        /// The status that was asked for.
        status: u16,
    },
    /// A response header that HTTP does not allow.
    #[error("step {step}: {name:?} with this value is not a valid header")]
    InvalidHeader {
        /// Index of the step in its script, from zero.
        step: usize,
        /// The header's name as written in the script.
        name: String,
    },
    /// The script resets the connection instead of answering.
    #[error("the script refuses this request")]
    Refused,
    /// The script cuts the connection in mid-answer.
    #[error("the script cuts this answer off")]
    Cut,
    /// The request could not be read to its end.
    #[error("the request body broke off: {0}")]
    RequestBody(#[source] hyper::Error),
}
